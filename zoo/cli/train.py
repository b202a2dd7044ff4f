"""``zoo train``, and the way to Hydra for trainings, sweeps of them, and studies."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import Any

from zoo.checks import Refused
from zoo.cli.hydra_flags import add_hydra_flags, build_hydra_command
from zoo.cli.parser import Given, Parser
from zoo.config.hydra_overrides import drop_hydra_overrides, is_for_hydra, refuse_unknown_overrides
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
PARSER = Parser(
    "train",
    ["[OVERRIDE ...]"],
    "train a model, or with -m one for every combination of values",
    description=(
        "Compose a config from presets, components and options, and train a model. A finished run is not trained "
        "again, and an interrupted one is resumed. Overrides have the syntax of Hydra."
    ),
    arguments={
        "group=choice": "choose a preset or a component: model=gpt, model/attention=grouped_query",
        "key=value": "set an option: model.attention.kv_heads=2, steps=1000",
        "+key=value": "add an option that the config does not have",
        "~key": "remove an option",
    },
    examples=[
        "zoo train model=gpt/tiny data=numbers steps=100",
        "zoo train model=llama data=pydocs model/attention=multi_head optimizer.lr=3e-4",
        "zoo train -m model=gpt model/position=learned,rotary seed=1,2",
        "zoo train --cfg job model=gpt/tiny",
    ],
)
add_hydra_flags(PARSER, sweeps=True)


def run(given: Given) -> int:
    """Checks all overrides at once, and hands over to Hydra."""
    from zoo.config.checking import check_run
    from zoo.config.compose import compose_run, find_carried_options
    from zoo.config.format_override import format_override

    overrides = drop_hydra_overrides(given.words)
    refuse_unknown_overrides([word for word in given.words if is_for_hydra(word)])
    if not given.forwarded:
        check_run(compose_run(overrides)).require()
    elif not {"--hydra-help", "--info", "-i"} & set(given.forwarded):
        refuse_unknown_overrides(overrides)
    carried = [format_override(f"++{key}", value) for key, value in find_carried_options(overrides).items()]
    code = launch_hydra(build_hydra_command(given.forwarded, [*carried, *given.words]))
    chooses_sweeper = any(word.startswith("hydra/sweeper") for word in given.words)
    if {"-m", "--multirun"} & set(given.forwarded) and not chooses_sweeper:
        say(f"report: {shlex.join(['zoo', 'report', '-m', *overrides])}")
    return code


def describe_config(given: Given) -> str:
    """Returns all that can be chosen and set, with these overrides applied: what follows the help of ``zoo train``."""
    import yaml

    from zoo.config.compose import compose_run
    from zoo.config.groups import list_choices, list_config_groups

    groups = "\n".join(f"{group}: {', '.join(list_choices(group))}" for group in sorted(list_config_groups()))
    config = yaml.safe_dump(compose_run(drop_hydra_overrides(given.words)), sort_keys=False, allow_unicode=True)
    return f"== Choices (group=choice) ==\n\n{groups}\n\n== Config (key=value) ==\n\n{config}"


def launch_hydra(arguments: Sequence[str]) -> int:
    """Hands over to Hydra, whose errors become refusals instead of half a traceback.

    Args:
        arguments: command line of Hydra's own parser.
    Returns:
        the exit code.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from zoo.config.compose import shorten_error
    from zoo.config.config_store import publish
    from zoo.system.installation import find_package_folder

    publish()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    script = sys.argv[0]
    sys.argv = [script, *arguments]
    follow_parent(_RANK_GRACE if "LOCAL_RANK" in os.environ else GRACE)
    try:
        with handle_command_signals():
            hydra.main(version_base="1.3", config_path=str(find_package_folder("conf")), config_name="train")(run_job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise Refused(shorten_error(error)) from error
    except _PastHydra as end:
        raise end.error from end.error.__cause__
    return 0


class _PastHydra(BaseException):
    """Carries the error of a single run past Hydra, which would print a line of its own before it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def run_job(config: Any) -> float | None:
    """Trains a composed config once. Hydra's launchers call it, in this process or another.

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
    """Trains in a process of its own, as several devices need: Lightning joins them once in the life of a process.

    The variables of Slurm would have it look for as many tasks of Slurm as there are devices.
    """
    from hydra.core.hydra_config import HydraConfig

    command = [sys.executable, "-m", "zoo.cli.main", "train", *HydraConfig.get().overrides.task]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    code = run_child(command, environment)
    if code > 128:
        raise Interrupted(code - 128)
    if code:
        raise RuntimeError(f"the process of the run ended with exit code {code}")


def _train(config: Any) -> float | None:
    from zoo.cli.unnamed_choices import note_choices_of_job
    from zoo.config.checking import check_run
    from zoo.training.run import run_folder, train

    given = _composed(config)
    checked = check_run(given)
    checked.require()
    if not _in_study():
        note_choices_of_job(given, checked)
    _keep_command()
    label = checked.config.label
    result = train(checked, wait=not _in_study())
    if result is None:
        return None
    say(f"{label + '  ' if label else ''}{result.format_metrics()}  {run_folder(checked).path}", flush=True)
    return result.metrics.get("loss")


def _composed(config: Any) -> dict[str, Any]:
    """Returns the config of a job; in a sweep that chose components, Hydra lacks the options that are carried over."""
    from hydra.core.hydra_config import HydraConfig

    from zoo.config.compose import compose_run, to_plain

    known = HydraConfig.get()
    return compose_run(known.overrides.task) if known.job.config_name == "train" else to_plain(config)


def _in_study() -> bool:
    """True if there is other work to do than to wait for what another process trains."""
    from hydra.core.hydra_config import HydraConfig

    return str(HydraConfig.get().sweeper.get("_target_")).endswith(".StudySweeper")


def _keep_command() -> None:
    """Lightning starts the other processes of a machine as argv[0] argv[1:], which must say ``train`` again."""
    from hydra.core.hydra_config import HydraConfig

    sys.argv = [sys.argv[0], "train", *HydraConfig.get().overrides.task]
