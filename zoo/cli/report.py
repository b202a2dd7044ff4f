"""``zoo report``."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.checks import Refused
from zoo.cli.arguments import asks_for_help, refuse_unknown, take_values, without_hydra
from zoo.system.names import require_path
from zoo.system.terminal import say

if TYPE_CHECKING:
    from zoo.report import ComparisonOptions, Run, Study

HELP = """\
zoo report STUDY [KEYS] [OVERRIDES]    a study, as it was asked for
zoo report STUDY STUDY ...             several, side by side
zoo report RUN-FOLDER ... [JUDGING]    runs that nobody planned together
zoo report -m OVERRIDES [JUDGING]      the runs of a sweep: what stood after zoo train -m

JUDGING is baseline=ARM, which gives verdicts against that arm, metrics=NAME,... of which the first decides, and
margin=NUMBER, the largest difference that counts as none. Those of a study are among its KEYS.

  --out FOLDER                         where it is written, in place of a folder of its own under runs/reports/
  --allow-target MODULE                as of zoo study
"""
_ALLOW = "--allow-target"


_JUDGING = ("baseline", "metrics", "margin")


def report(arguments: Sequence[str]) -> int:
    """``zoo report``: the page, and its summary in the terminal."""
    if asks_for_help(arguments) or not arguments:
        say(HELP, end="")
        return 0 if arguments else 2
    from zoo.report import print_folder, print_summary, write_report
    from zoo.system.tables import Terminal

    given, out = take_values(arguments, "--out")
    many = {"-m", "--multirun"} & set(given)
    given = [word for word in given if word not in many]
    if flags := [word for word in take_values(given, _ALLOW)[0] if word.startswith("-")]:
        raise Refused(f"unknown flag {flags[0]!r}: choices: --allow-target, --out, -m")
    for given_folder in out:
        require_path("--out", given_folder)
    described, runs, folder = _swept(without_hydra(given)) if many else gather_runs(without_hydra(given))
    if out:
        folder = Path(out[-1])
    path = write_report(described, runs, folder, renumber=not out)
    terminal = Terminal()
    print_summary(described, runs, terminal)
    if described.baseline is None and len(described.arms) > 1:
        say("for verdicts, name the arm that others are compared with: baseline=ARM")
    print_folder(path, folder, terminal)
    return 0


def gather_runs(words: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """One study as it was asked for, or several and run folders side by side; and where the report goes."""
    from zoo.cli.study import parsed
    from zoo.report import build_study, combine_studies
    from zoo.study.plan.command_line import take_keys
    from zoo.study.run_study import gather

    words, allowed = take_values(words, _ALLOW)
    flags = [f"{_ALLOW}={module}" for module in allowed]
    names = [word for word in words if "=" not in word and not word.startswith("~") and not _is_kept_beside_runs(word)]
    folders = [Path(name) for name in names if (Path(name) / "config.yaml").exists()]
    keys = [word for word in words if word not in names and not _is_kept_beside_runs(word)]
    studies = [name for name in names if Path(name) not in folders]
    given, others = take_keys(keys, _JUDGING)
    if folders and others:
        raise Refused(f"run folders take no overrides: got {others[0]}; choices: {', '.join(_JUDGING)}")
    if not names:
        return gather(*parsed([*keys, *flags])[:2])
    found = [gather(*parsed([name, *keys, *flags])[:2]) for name in studies]
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
    """True for the folders of reports and of stale runs, which ``runs/*`` names too."""
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
    """The name of a report that no study names: the same for the same members, and for no others."""
    digest = hashlib.sha256("\0".join(sorted(members)).encode()).hexdigest()[:6]
    return f"{re.sub(r'[^a-z0-9_]+', '-', title.lower())[:48].strip('-')}-{digest}".lstrip("-")


def _swept(words: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """The runs of a sweep; what has not been trained is a run that is not finished."""
    from zoo.cli.train_sweep import runs_of_sweep
    from zoo.config.checking import check_run
    from zoo.config.compose import compose_run
    from zoo.report import build_study
    from zoo.study.plan.command_line import take_keys
    from zoo.training.run import run_folder

    problems: list[str] = []
    planned = {}
    given, overrides = take_keys(words, _JUDGING)
    refuse_unknown(overrides)
    for lines in runs_of_sweep(overrides):
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
