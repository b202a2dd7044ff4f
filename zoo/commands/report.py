"""``zoo report``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.checks import Refused
from zoo.commands.arguments import asks_for_help, refuse_unknown, without_hydra

if TYPE_CHECKING:
    from zoo.report import Run, Study

HELP = """\
zoo report STUDY [KEYS] [OVERRIDES]    a study, as it was asked for
zoo report STUDY STUDY ...             several, side by side
zoo report RUN-FOLDER ...              runs that nobody planned together
zoo report -m OVERRIDES                the runs of a sweep: what stood after zoo train -m

  --out FOLDER                         where it is written
"""


def report(arguments: Sequence[str]) -> int:
    """``zoo report``: the page, and its summary in the terminal."""
    if asks_for_help(arguments) or not arguments:
        print(HELP, end="")
        return 0 if arguments else 2
    from rich.console import Console

    from zoo.report import print_summary, write_report

    given, out = _out(list(arguments))
    many = {"-m", "--multirun"} & set(given)
    given = [word for word in given if word not in many]
    if flags := [word for word in given if word.startswith("-")]:
        raise Refused(f"unknown flag {flags[0]!r}: choices: --out, -m")
    described, runs, folder = _swept(without_hydra(given)) if many else _studies(without_hydra(given))
    path = write_report(described, runs, out or folder)
    print_summary(described, runs, Console())
    print(f"report: {path.resolve()}")
    return 0


def _out(arguments: list[str]) -> tuple[list[str], Path | None]:
    if "--out" not in arguments:
        return arguments, None
    place = arguments.index("--out")
    if place + 1 == len(arguments):
        raise Refused("--out must be given a folder")
    return arguments[:place] + arguments[place + 2 :], Path(arguments[place + 1])


def _studies(words: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """One study as it was asked for, or several and run folders side by side; and where the report goes."""
    from zoo.commands.study import parsed
    from zoo.report import join, runs_study
    from zoo.study.sweep import gather

    names = [word for word in words if "=" not in word and not word.startswith("~")]
    folders = [Path(name) for name in names if (Path(name) / "config.yaml").exists()]
    keys = [word for word in words if word not in names]
    studies = [name for name in names if Path(name) not in folders]
    if folders and keys:
        raise Refused(f"run folders take no overrides: got {keys[0]}")
    if not names:
        return gather(*parsed(keys)[:2])
    found = [gather(*parsed([name, *keys])[:2]) for name in studies]
    if len(found) == 1 and not folders:
        return found[0]
    parts = [(described, runs) for described, runs, _ in found]
    parts += [runs_study(folders)] if folders else []
    return (*(parts[0] if len(parts) == 1 else join(parts)), Path())


def _swept(words: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """The runs of a sweep; what has not been trained is a run that is not finished."""
    from zoo.checking import check_run
    from zoo.config import compose_run
    from zoo.report import runs_study
    from zoo.training.run import run_folder

    problems: list[str] = []
    planned = {}
    for lines in _runs_of(words):
        checked = check_run(compose_run(lines))
        problems += [f"{' '.join(lines)}: {problem}" for problem in checked.problems]
        planned[run_folder(checked).path.resolve()] = checked.config
    if problems:
        raise Refused("\n".join(problems))
    described, runs = runs_study(list(planned), planned)
    for run in runs:
        if run.result is None:
            print(f"not finished: {run.task} {run.arm} seed {run.seed}  {run.folder}")
    return replace(described, command=shlex.join(["zoo", "train", "-m", *words])), runs, Path()


def _runs_of(sweep: Sequence[str]) -> list[list[str]]:
    """The overrides of each run, as Hydra makes them of those of a sweep."""
    from hydra import initialize_config_dir
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    from zoo.config import folder, one_line, publish

    refuse_unknown(sweep)
    publish()
    with initialize_config_dir(str(folder("conf")), version_base="1.3"):
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        try:
            (runs,) = BasicSweeper.split_arguments(parser.parse_overrides(list(sweep)), None)
        except HydraException as error:
            raise Refused(one_line(error)) from None
    return runs
