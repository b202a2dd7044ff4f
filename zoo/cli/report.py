"""``zoo report``: writes the report of runs that are there, and prints its summary."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.checks import Refused
from zoo.cli.hydra_flags import drop_hydra_overrides, refuse_unknown_overrides
from zoo.cli.parser import Given, Parser
from zoo.system.names import check_path
from zoo.system.terminal import say

if TYPE_CHECKING:
    from zoo.report import ComparisonOptions, Run, Study

_JUDGING = ("baseline", "metrics", "margin")


def _problems(given: Given) -> Iterable[str]:
    return [] if given.out is None else check_path("--out", given.out)


PARSER = Parser(
    "report",
    ["STUDY [KEY=VALUE ...] [OVERRIDE ...]", "STUDY STUDY ...", "RUN ... [JUDGING]", "-m OVERRIDE ... [JUDGING]"],
    "write the report of runs that are there",
    description=(
        "Write the report of a study, of several studies side by side, of the folders of any runs, or, with -m, of "
        "the runs of a sweep. Nothing is trained: runs that are missing are named."
    ),
    arguments={
        "STUDY": "a name under experiments/, a folder, or a study.yaml",
        "KEY=VALUE": "a key of the study file, as given to zoo study",
        "RUN": "the folder of a run",
        "OVERRIDE": "an override, as given to zoo study or zoo train -m",
        "JUDGING": "baseline=ARM: give verdicts against this arm\n"
        "metrics=NAME,...: compare these metrics; the first one decides\n"
        "margin=NUMBER: count smaller differences as none",
    },
    examples=[
        "zoo report three_variants",
        "zoo report norms/* baseline=norm=layer --out compared",
        "zoo report -m model=gpt model/norm=layer,rms seed=1,2",
    ],
    needs_words=True,
    check=_problems,
)
PARSER.add_switch("-m", "--multirun", help="report the runs of a sweep, given by its overrides")
PARSER.add_value("--out", "FOLDER", help="write to this folder. Default: a folder of its own in runs/reports")
PARSER.add_value(
    "--allow-target", "MODULE", is_list=True, help="let a study file name classes of this module; may be repeated"
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


def gather_runs(words: Sequence[str], allowed: Sequence[str] = ()) -> tuple[Study, list[Run], Path]:
    """Returns one study as given, or several and run folders side by side; and the folder of the report."""
    from zoo.cli.study import resolve_study
    from zoo.report import build_study, combine_studies
    from zoo.study.plan.command_line import take_keys
    from zoo.study.run_study import gather

    names = [word for word in words if "=" not in word and not word.startswith("~") and not _is_kept_beside_runs(word)]
    folders = [Path(name) for name in names if (Path(name) / "config.yaml").exists()]
    keys = [word for word in words if word not in names and not _is_kept_beside_runs(word)]
    studies = [name for name in names if Path(name) not in folders]
    given, others = take_keys(keys, _JUDGING)
    if folders and others:
        raise Refused(f"run folders take no overrides: got {others[0]}; choices: {', '.join(_JUDGING)}")
    if not names:
        return gather(*resolve_study(keys, allowed))
    found = [gather(*resolve_study([name, *keys], allowed)) for name in studies]
    if len(found) == 1 and not folders:
        return found[0]
    parts = [(described, runs) for described, runs, _ in found]
    parts += [build_study(folders, options=_judging(given))] if folders else []
    described, runs = parts[0] if len(parts) == 1 else combine_studies(parts)
    reports = found[0][2].parent if found else folders[0].resolve().parent / "reports"
    return (
        described,
        runs,
        reports / _folder_name(described.name, [*studies, *(str(path.resolve()) for path in folders)]),
    )


def _is_kept_beside_runs(word: str) -> bool:
    """True for the folders of reports and of stale runs, which ``runs/*`` matches too."""
    folder = Path(word)
    return folder.name in ("reports", "stale") and folder.is_dir() and not (folder / "study.yaml").exists()


def _judging(given: Mapping[str, Any]) -> ComparisonOptions:
    from zoo.report import ComparisonOptions

    metrics, margin = given.get("metrics") or (), given.get("margin")
    if not isinstance(metrics, list | tuple) or not all(isinstance(metric, str) for metric in metrics):
        raise Refused(f"metrics: must be names: got {metrics!r}")
    if margin is not None and (isinstance(margin, bool) or not isinstance(margin, int | float) or not margin > 0):
        raise Refused(f"margin: must be above 0: got {margin!r}")
    return ComparisonOptions(given.get("baseline"), tuple(metrics), margin)


def _folder_name(title: str, members: Sequence[str]) -> str:
    """Returns the folder name of a report that no study names: the same for the same members, and no others."""
    digest = hashlib.sha256("\0".join(sorted(members)).encode()).hexdigest()[:6]
    return f"{re.sub(r'[^a-z0-9_]+', '-', title.lower())[:48].strip('-')}-{digest}".lstrip("-")


def _swept(words: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """Returns the runs of a sweep, those included that are not trained yet, and the folder of the report."""
    from zoo.cli.train_sweep import expand_sweep
    from zoo.config.checking import check_run
    from zoo.config.compose import compose_run
    from zoo.report import build_study
    from zoo.study.plan.command_line import take_keys
    from zoo.training.run import run_folder

    problems: list[str] = []
    planned = {}
    given, overrides = take_keys(words, _JUDGING)
    refuse_unknown_overrides(overrides)
    for lines in expand_sweep(overrides):
        checked = check_run(compose_run(lines))
        problems += [f"{' '.join(lines)}: {problem}" for problem in checked.problems]
        planned[run_folder(checked).path.resolve()] = checked.config
    if problems:
        raise Refused("\n".join(problems))
    judging = _judging(given)
    described, runs = build_study(list(planned), planned, judging)
    for run in runs:
        if run.result is None:
            say(f"not finished: {run.task} {run.arm} seed {run.seed}  {run.folder}")
    reports = next(iter(planned)).parent / "reports"
    folder = reports / _folder_name(described.name, [path.name for path in planned])
    trained = shlex.join(["zoo", "train", "-m", *overrides])
    command = f"{trained} && {shlex.join(['zoo', 'report', '-m', *words])}"
    return replace(described, command=command), runs, folder
