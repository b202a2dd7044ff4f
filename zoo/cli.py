"""The command ``zoo``. Imports late: ``zoo --help`` and ``zoo list`` load neither torch nor Hydra."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from zoo import __version__
from zoo.checks import Refused, suggest

HELP = """\
zoo: find out which parts of a Transformer help, at what cost, and how sure one can be.

  zoo list [KIND] [--json]           components, their papers and options
  zoo show OVERRIDES [--json]        a composed model: parts, parameters, operations, memory
  zoo train OVERRIDES                one training, or with -m a sweep of them
  zoo study STUDY [OVERRIDES]        arms and seeds of a study, and its report; --dry-run, --status
  zoo report STUDY | RUN-FOLDER ...  the report of what is there
  zoo check KIND/NAME ... | --all    whether components keep what their kind promises
  zoo new KIND NAME                  a plug-in with one component and its test, to begin from

OVERRIDES are Hydra's: model=gpt data=pydocs model/attention=grouped_query model.attention.kv_heads=2 steps=1000
zoo train --help lists all that can be chosen, zoo train --cfg job prints the config and runs nothing.

  --debug     show tracebacks
  --version   print the version
"""


_FLAGS_WITH_VALUES = frozenset(
    (
        "-c",
        "--cfg",
        "-i",
        "--info",
        "-p",
        "--package",
        "-cp",
        "--config-path",
        "-cn",
        "--config-name",
        "-cd",
        "--config-dir",
    )
)
"""Hydra's flags whose next word is not an override."""


def main() -> None:
    """Run the command; what was asked wrongly ends with readable lines and exit code 2."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1 or bool(os.environ.get("ZOO_DEBUG"))
    if debug:
        os.environ["ZOO_DEBUG"] = "1"
    try:
        code = _dispatch(arguments)
    except Refused as error:
        if debug:
            raise
        code = _say(str(error).splitlines(), 2)
    except KeyboardInterrupt:
        code = _say(["interrupted: run the same command again to go on"], 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if debug:
            raise
        first = next(iter(str(error).splitlines()), "")
        code = _say([f"{type(error).__name__}: {first}", "the same command with --debug shows where"], 1)
    sys.exit(code)


def _say(lines: Sequence[str], code: int) -> int:
    for line in lines:
        print(f"zoo: {line}", file=sys.stderr)
    return code


def _dispatch(arguments: list[str]) -> int:
    from zoo.listing import list_components

    commands = {
        "list": list_components,
        "show": show,
        "train": train,
        "study": study,
        "report": report,
        "check": check,
        "new": new,
    }
    match arguments:
        case [] | ["-h" | "--help"]:
            print(HELP, end="")
            return 0
        case ["--version"]:
            print(__version__)
            return 0
        case ["-sc" | "--shell-completion" | "--shell_completion", *_]:
            return _complete(arguments)
        case [name, *rest] if name in commands:
            return commands[name](rest)
        case [name, *_]:
            raise Refused(f"unknown command {name!r}: {suggest(name, commands)}")
    return 0


# ------------------------------------------------------------------------------------------------------------ show


def show(arguments: list[str]) -> int:
    """``zoo show OVERRIDES [--json]``: the composed model, from the meta device."""
    if {"-h", "--help"} & set(arguments):
        print("zoo show OVERRIDES [--json]\n\nFor example: zoo show model=llama model/norm=layer model.dim=512\n")
        print("FLOPs are those of the forward pass of one row of data.length tokens; cache is what decoding remembers")
        print("of it, activations what autograd keeps of it for the backward pass, up to the logits.")
        return 0
    from zoo.show import describe, render

    overrides = [argument for argument in arguments if argument != "--json"]
    described = describe(overrides)
    print(json.dumps(described, indent=1, ensure_ascii=False)) if "--json" in arguments else render(described)
    return 0


# ----------------------------------------------------------------------------------------------- train and study


def train(arguments: list[str]) -> int:
    """``zoo train``: Hydra's own command line, with overrides checked first, all problems at once."""
    from zoo.config import compose_run

    overrides = _overrides(arguments)
    if {"-h", "--help"} & set(arguments):
        print(_help(_without_hydra(overrides)))
        return 0
    if len(overrides) == len(arguments):
        from zoo.checking import check_run

        check_run(compose_run(_without_hydra(overrides))).require()
    elif not {"--hydra-help", "--info", "-sc", "--shell-completion"} & set(arguments):
        _refuse_unknown(_without_hydra(overrides))
    return _hydra(arguments)


def _help(overrides: Sequence[str]) -> str:
    """All that can be chosen and set; for its own page Hydra copies its whole store once for each group."""
    import yaml

    from zoo.config import compose_run, config_groups, group_choices

    groups = "\n".join(f"{group}: {', '.join(group_choices(group))}" for group in sorted(config_groups()))
    config = yaml.safe_dump(compose_run(overrides), sort_keys=False, allow_unicode=True)
    return (
        f"zoo train OVERRIDES\n\n== Choices (group=choice) ==\n\n{groups}\n\n"
        f"== Config (foo.bar=value) ==\n\n{config}\n"
        "-m a=1,2 runs a sweep, --cfg job prints the config and runs nothing, --hydra-help tells what else there is."
    )


def _overrides(arguments: Sequence[str]) -> list[str]:
    """The arguments that are neither Hydra's flags nor their values."""
    before = ["", *arguments]
    return [
        argument
        for flag, argument in zip(before, arguments, strict=False)
        if not argument.startswith("-") and flag not in _FLAGS_WITH_VALUES
    ]


def _without_hydra(overrides: Sequence[str]) -> list[str]:
    return [line for line in overrides if not line.lstrip("+~").startswith(("hydra.", "hydra/"))]


def _refuse_unknown(overrides: Sequence[str]) -> None:
    from zoo.config import override_problems

    if problems := override_problems(overrides):
        raise Refused("\n".join(problems.values()))


STUDY_HELP = """\
zoo study STUDY [OVERRIDES]

STUDY is a name under experiments/, a folder, or a study.yaml.
OVERRIDES hold for all runs: steps=100, hydra/launcher=basic, threads=2

  --dry-run                    print the runs, and train nothing
  --status [--json]            where it stands, also while it runs elsewhere
  --on-failure {go_on,stop}    what follows a run that failed (go_on)
  --retries N                  how often a run that failed is tried again (0)
"""


def study(arguments: list[str]) -> int:
    """``zoo study STUDY [OVERRIDES]``: a Hydra sweep over the cells of a study."""
    flags = {"--dry-run", "--status", "--json"} & set(arguments)
    rest, policy = _policy([argument for argument in arguments if argument not in flags])
    names = [argument for argument in rest if not argument.startswith("-") and "=" not in argument]
    if {"-h", "--help"} & set(arguments) or len(names) != 1:
        print(STUDY_HELP, end="")
        return 0 if {"-h", "--help"} & set(arguments) else 2
    rest.remove(names[0])
    _refuse_unknown(_without_hydra(_overrides(rest)))
    from zoo.study.plan import find_study
    from zoo.study.sweep import local_launcher, status

    path = find_study(names[0])
    told = [*local_launcher(rest), *rest]
    if "--status" in flags:
        status(str(path), _without_hydra(_overrides(told)), as_json="--json" in flags)
        return 0
    if "--json" in flags:
        raise Refused("--json goes with --status")
    chosen = [f"hydra.sweeper.study='{path}'", f"hydra.sweeper.dry_run={str('--dry-run' in flags).lower()}", *policy]
    return _hydra(["-m", "hydra/sweeper=zoo_study", *chosen, *told])


def _policy(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What follows a failure is told to the sweeper; the other arguments, and its overrides."""
    rest, policy = list(arguments), []
    for flag, key in (("--on-failure", "on_failure"), ("--retries", "retries")):
        rest = [word for given in rest for word in (given.split("=", 1) if given.startswith(f"{flag}=") else [given])]
        while flag in rest:
            place = rest.index(flag)
            if place + 1 == len(rest):
                raise Refused(f"{flag} must be given a value")
            policy.append(f"hydra.sweeper.{key}={rest[place + 1]}")
            del rest[place : place + 2]
    return rest, policy


def _hydra(arguments: Sequence[str]) -> int:
    """Hand over to Hydra; errors come back to us instead of being printed with half a traceback."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from zoo.config import folder, one_line, publish

    publish()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    script = sys.argv[0]
    sys.argv = [script, *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(folder("conf")), config_name="train")(run)()
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

    try:
        return _train(config)
    except Exception as error:
        if HydraConfig.get().mode == RunMode.RUN:
            raise _PastHydra(error) from error
        raise


def _train(config: Any) -> float | None:
    from zoo.checking import check_run
    from zoo.config import plain
    from zoo.training.result import show
    from zoo.training.run import run_folder, train

    checked = check_run(plain(config))
    checked.require()
    _keep_command()
    label = str(checked.config["label"])
    result = train(checked, wait=not _in_study())
    if result:
        print(f"{label + '  ' if label else ''}{show(result)}  {run_folder(checked).path}", flush=True)
    loss: float | None = result.get("metrics", {}).get("loss")
    return loss


def _in_study() -> bool:
    """Whether there is other work to do than to wait for what another process trains."""
    from hydra.core.hydra_config import HydraConfig

    return str(HydraConfig.get().sweeper.get("_target_")).endswith(".StudySweeper")


def _keep_command() -> None:
    """Lightning starts the other processes of a machine as argv[0] argv[1:], which must say ``train`` again."""
    from hydra.core.hydra_config import HydraConfig

    sys.argv = [sys.argv[0], "train", *HydraConfig.get().overrides.task]


def _complete(arguments: Sequence[str]) -> int:
    """Tab completion: Hydra completes overrides, so the word of the command is taken out of its line."""
    line, point = os.environ.get("COMP_LINE", ""), int(os.environ.get("COMP_POINT", "0") or 0)
    words = line.split(" ")
    if len(words) > 2 and words[1] in ("train", "show", "study"):
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
        os.environ["COMP_POINT"] = str(max(0, point - len(words[1]) - 1))
    elif line:
        commands = ("list", "show", "train", "study", "report", "check", "new")
        print("\n".join(name for name in commands if name.startswith(words[-1])))
        return 0
    return _hydra(arguments)


# ---------------------------------------------------------------------------------------------------------- report


def report(arguments: list[str]) -> int:
    """``zoo report STUDY [OVERRIDES]`` or ``zoo report RUN-FOLDER ...``."""
    from pathlib import Path

    if {"-h", "--help"} & set(arguments) or not arguments:
        print("zoo report STUDY [OVERRIDES]\nzoo report RUN-FOLDER ... [--out FOLDER]")
        return 0 if arguments else 2
    from rich.console import Console

    from zoo.report import print_summary, runs_study, write_report

    out = Path(arguments[arguments.index("--out") + 1]) if "--out" in arguments[:-1] else Path()
    given = [item for item in arguments if item not in ("--out", str(out))]
    if (Path(given[0]) / "config.yaml").exists():
        described, runs = runs_study([Path(item) for item in given])
    else:
        from zoo.study.sweep import gather

        described, runs, out = gather(given[0], given[1:])
    path = write_report(described, runs, out)
    print_summary(described, runs, Console())
    print(f"report: {path.resolve()}")
    return 0


# --------------------------------------------------------------------------------------------------- check and new


def check(arguments: list[str]) -> int:
    """``zoo check KIND/NAME | package.module:Class | --all``: the conformance kit."""
    from zoo.testing.command import command

    sys.path.insert(0, os.getcwd())  # a class that is not installed is looked for where the command is called
    return command(arguments)


def new(arguments: list[str]) -> int:
    """``zoo new KIND NAME [FOLDER]``: a plug-in to begin from."""
    from zoo.new import new as write

    return write(arguments)
