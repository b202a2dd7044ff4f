"""``zoo train``, and what Hydra is handed: trainings, sweeps of them, and studies."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import Any

from zoo.checks import Refused
from zoo.cli.arguments import (
    HYDRA_FLAGS,
    asks_for_help,
    hydra_words,
    is_hydras,
    overrides_of,
    refuse_unknown,
    require_flags,
    without_hydra,
)
from zoo.system.signals import (
    GRACE,
    Interrupted,
    follow_parent,
    handle_command_signals,
    run_child,
    should_end,
    start_worker,
)
from zoo.system.terminal import prepare_output, say

_RANK_GRACE = 3.0  # seconds; a rank alone cannot even finish its step


def train(arguments: list[str]) -> int:
    """``zoo train``: Hydra's own command line, with overrides checked first, all problems at once."""
    from zoo.config.compose import carried_options, compose_run
    from zoo.study.plan.setting import override

    require_flags(arguments, HYDRA_FLAGS)
    overrides = overrides_of(arguments)
    if asks_for_help(arguments):
        say(_help(without_hydra(overrides)))
        return 0
    refuse_unknown([line for line in overrides if is_hydras(line)])
    if len(overrides) == len(arguments):
        from zoo.config.checking import check_run

        check_run(compose_run(without_hydra(overrides))).require()
    elif not {"--hydra-help", "--info", "-i"} & set(arguments):
        refuse_unknown(without_hydra(overrides))
    carried = carried_options(without_hydra(overrides)).items()
    code = hand_over(hydra_words([*(override(f"++{key}", value) for key, value in carried), *arguments]))
    if {"-m", "--multirun"} & set(arguments) and not any(line.startswith("hydra/sweeper") for line in overrides):
        say(f"report: {shlex.join(['zoo', 'report', '-m', *without_hydra(overrides)])}")
    return code


def _help(overrides: Sequence[str]) -> str:
    """All that can be chosen and set; for its own page Hydra copies its whole store once for each group."""
    import yaml

    from zoo.config.compose import compose_run, config_groups, group_choices

    groups = "\n".join(f"{group}: {', '.join(group_choices(group))}" for group in sorted(config_groups()))
    config = yaml.safe_dump(compose_run(overrides), sort_keys=False, allow_unicode=True)
    return (
        f"zoo train OVERRIDES\n\n== Choices (group=choice) ==\n\n{groups}\n\n"
        f"== Config (foo.bar=value) ==\n\n{config}\n"
        "-m a=1,2 runs a sweep, --cfg job prints the config and runs nothing, --hydra-help tells what else there is."
    )


def hand_over(arguments: Sequence[str]) -> int:
    """Hand over to Hydra; errors come back to us instead of being printed with half a traceback."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from zoo.config.compose import one_line, publish
    from zoo.system.installation import find_package_folder

    publish()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    script = sys.argv[0]
    sys.argv = [script, *arguments]
    follow_parent(_RANK_GRACE if "LOCAL_RANK" in os.environ else GRACE)
    try:
        with handle_command_signals():
            hydra.main(version_base="1.3", config_path=str(find_package_folder("conf")), config_name="train")(run)()
    except (HydraException, OmegaConfBaseException) as error:
        raise Refused(one_line(error)) from error
    except _PastHydra as end:
        raise end.error from end.error.__cause__
    return 0


class _PastHydra(BaseException):
    """Carries the error of a single run past Hydra, which would print a line of its own above ours."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def run(config: Any) -> float | None:
    """One training of a composed config: what Hydra's launchers call, in this process or another.

    Returns:
        the loss on the validation split.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    prepare_output()  # also in the processes of a launcher
    alone = HydraConfig.get().mode == RunMode.RUN
    local = "Slurm" not in str(HydraConfig.get().launcher.get("_target_"))  # its jobs outlive who submits them
    worker = local and start_worker()
    try:
        if worker and should_end():
            raise Interrupted(signal.SIGTERM)
        if alone or config.trainer.get("devices") == 1:
            return _train(config)
        _train_apart()
        return None
    except Interrupted as end:
        if worker:  # its pool would be killed if it died
            raise RuntimeError(str(end)) from end
        raise
    except Exception as error:
        if alone:
            raise _PastHydra(error) from error
        raise


def _train_apart() -> None:
    """Train in a process of its own, as several devices need: Lightning joins them once in the life of a process.

    The variables of Slurm would have it look for as many tasks of Slurm as there are devices.
    """
    from hydra.core.hydra_config import HydraConfig

    command = [sys.executable, "-m", "zoo.cli.main", "train", *HydraConfig.get().overrides.task]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    code = run_child(command, environment)
    if code > 128:
        raise Interrupted(code - 128)
    if code:
        raise RuntimeError(f"its process ended with exit code {code}")


def _train(config: Any) -> float | None:
    from zoo.config.checking import check_run
    from zoo.training.run import run_folder, train
    from zoo.training.summarize import show

    checked = check_run(_composed(config))
    checked.require()
    _keep_command()
    label = str(checked.config["label"])
    result = train(checked, wait=not _in_study())
    if result:
        say(f"{label + '  ' if label else ''}{show(result)}  {run_folder(checked).path}", flush=True)
    loss: float | None = result.get("metrics", {}).get("loss")
    return loss


def _composed(config: Any) -> dict[str, Any]:
    """The config of a job; where a sweep chose components, Hydra knows nothing of options that are carried over."""
    from hydra.core.hydra_config import HydraConfig

    from zoo.config.compose import compose_run, plain

    known = HydraConfig.get()
    return compose_run(known.overrides.task) if known.job.config_name == "train" else plain(config)


def _in_study() -> bool:
    """Whether there is other work to do than to wait for what another process trains."""
    from hydra.core.hydra_config import HydraConfig

    return str(HydraConfig.get().sweeper.get("_target_")).endswith(".StudySweeper")


def _keep_command() -> None:
    """Lightning starts the other processes of a machine as argv[0] argv[1:], which must say ``train`` again."""
    from hydra.core.hydra_config import HydraConfig

    sys.argv = [sys.argv[0], "train", *HydraConfig.get().overrides.task]


def complete(arguments: Sequence[str]) -> int:
    """Tab completion: Hydra completes overrides, so the words before them are taken out of its line."""
    line, point = os.environ.get("COMP_LINE", ""), int(os.environ.get("COMP_POINT", "0") or 0)
    words = line.split(" ")
    before = {"train": 2, "show": 2, "study": 2, "diff": 4}.get(words[1] if len(words) > 2 else "", 0)
    if before and len(words) > before:
        os.environ["COMP_LINE"] = " ".join([words[0], *words[before:]])
        os.environ["COMP_POINT"] = str(max(0, point - len(" ".join(words[1:before])) - 1))
    elif line:
        say("\n".join(name for name in (_models() if before else _COMMANDS) if name.startswith(words[-1])))
        return 0
    return hand_over(arguments)


_COMMANDS = ("list", "show", "diff", "train", "study", "report", "generate", "import", "export", "check", "new")


def _models() -> list[str]:
    from zoo.config.compose import group_choices

    return group_choices("model")
