"""``zoo report``: writes the report of runs that are there, and prints its summary."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.checks import Refused
from zoo.cli.parser import Given, Parser
from zoo.config.hydra_overrides import drop_hydra_overrides, refuse_unknown_overrides
from zoo.study.gather_runs import COMPARISON_KEYS, gather_runs, name_report_folder, read_comparison_options
from zoo.system.names import check_path
from zoo.system.terminal import say

if TYPE_CHECKING:
    from zoo.report import Run, Study


def _problems(given: Given) -> Iterable[str]:
    return [] if given.out is None else check_path("--out", given.out)


PARSER = Parser(
    "report",
    ["STUDY [KEY=VALUE ...] [OVERRIDE ...]", "STUDY STUDY ...", "RUN ... [COMPARISON]", "-m OVERRIDE ... [COMPARISON]"],
    "write the report of existing runs",
    description=(
        "Write the report of a study, of several studies side by side, of individual runs, or, with -m, of the runs of "
        "a sweep. Nothing is trained; runs without a result are listed."
    ),
    arguments={
        "STUDY": "a name under experiments/, a folder, or a study.yaml",
        "KEY=VALUE": "a key of the study file, as given to zoo study",
        "RUN": "the folder of a run",
        "OVERRIDE": "an override, as given to zoo study or zoo train -m",
        "COMPARISON": "baseline=ARM: compare the others with this arm\n"
        "metrics=NAME,...: compare these metrics; the first one decides the answer\n"
        "margin=NUMBER: treat smaller differences as equal",
    },
    examples=[
        "zoo report three_variants",
        "zoo report norms/* baseline=norm=layer --out compared",
        "zoo report -m model=gpt model/norm=layer,rms seed=1,2",
    ],
    needs_words=True,
    check=_problems,
)
PARSER.add_switch("-m", "--multirun", help="report the runs of the sweep with these overrides")
PARSER.add_value("--out", "FOLDER", help="write to this folder. Default: a folder in runs/reports")
PARSER.add_value(
    "--allow-target",
    "MODULE",
    is_list=True,
    help="let the study file use classes and functions of this module; may be repeated",
)


def run(given: Given) -> int:
    """Writes the page, and prints its summary and place."""
    from zoo.report import print_folder, print_summary, write_report
    from zoo.system.tables import Terminal

    words = drop_hydra_overrides(given.words)
    described, runs, folder = _swept(words) if given.multirun else gather_runs(words, given.allow_target)
    if given.out is not None:
        folder = Path(given.out)
    path = write_report(described, runs, folder, renumber=given.out is None)
    terminal = Terminal()
    print_summary(described, runs, terminal)
    if described.baseline is None and len(described.arms) > 1:
        say("for verdicts, choose the arm to compare with: baseline=ARM")
    print_folder(path, folder, terminal)
    return 0


def _swept(words: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """Returns the runs of a sweep, those included that are not trained yet, and the folder of the report."""
    from zoo.cli.train_sweep import expand_sweep
    from zoo.config.checking import check_run
    from zoo.config.compose import compose_run
    from zoo.report import build_study
    from zoo.study.plan.command_line import split_keys
    from zoo.training.run import run_folder

    problems: list[str] = []
    planned = {}
    given, overrides = split_keys(words, COMPARISON_KEYS)
    refuse_unknown_overrides(overrides)
    for lines in expand_sweep(overrides):
        checked = check_run(compose_run(lines))
        problems += [f"{' '.join(lines)}: {problem}" for problem in checked.problems]
        planned[run_folder(checked).path.resolve()] = checked.config.as_mapping()
    if problems:
        raise Refused("\n".join(problems))
    judging = read_comparison_options(given)
    described, runs = build_study(list(planned), planned, judging)
    for run in runs:
        if run.result is None:
            say(f"not finished: {run.task} {run.arm} seed {run.seed}  {run.folder}")
    reports = next(iter(planned)).parent / "reports"
    folder = reports / name_report_folder(described.name, [path.name for path in planned])
    trained = shlex.join(["zoo", "train", "-m", *overrides])
    command = f"{trained} && {shlex.join(['zoo', 'report', '-m', *words])}"
    return replace(described, command=command), runs, folder
