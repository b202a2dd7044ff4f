"""Studies and runs that a command line names, with their results, for a report."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.checks import Refused, suggest

if TYPE_CHECKING:
    from zoo.report import ComparisonOptions, Run, Study

COMPARISON_KEYS = ("baseline", "metrics", "margin")
"""Keys that determine how runs without a study are compared."""


def gather_runs(words: Sequence[str], allowed: Sequence[str] = ()) -> tuple[Study, list[Run], Path]:
    """Gathers the runs of a study, or of several studies and run folders side by side.

    Args:
        words: Names of studies or run folders, keys of a study, and overrides of its runs.
        allowed: Modules whose classes and functions a study file may name.
    Returns:
        The study, its runs, and the folder of its report.

    Raises:
        Refused: If a study cannot be loaded, or run folders are given with overrides.
    """
    from zoo.report import build_study, combine_studies
    from zoo.study.gather_study import gather_study
    from zoo.study.plan.command_line import resolve_study, split_keys

    names = [word for word in words if "=" not in word and not word.startswith("~") and not _is_beside_runs(word)]
    folders = [Path(name) for name in names if (Path(name) / "config.yaml").exists()]
    keys = [word for word in words if word not in names and not _is_beside_runs(word)]
    studies = [name for name in names if Path(name) not in folders]
    given, others = split_keys(keys, COMPARISON_KEYS)
    if folders and others:
        near = suggest(others[0].split("=")[0], COMPARISON_KEYS)
        raise Refused(f"run folders take no overrides: got {others[0]}; {near}")
    if not names:
        return gather_study(*resolve_study(keys, allowed))
    found = [gather_study(*resolve_study([name, *keys], allowed)) for name in studies]
    if len(found) == 1 and not folders:
        return found[0]
    parts = [(described, runs) for described, runs, _ in found]
    parts += [build_study(folders, options=read_comparison_options(given))] if folders else []
    described, runs = parts[0] if len(parts) == 1 else combine_studies(parts)
    reports = found[0][2].parent if found else folders[0].resolve().parent / "reports"
    members = [*studies, *(str(path.resolve()) for path in folders)]
    return described, runs, reports / name_report_folder(described.name, members)


def _is_beside_runs(word: str) -> bool:
    """True for the folders of reports and of stale runs, which ``runs/*`` matches too."""
    folder = Path(word)
    return folder.name in ("reports", "stale") and folder.is_dir() and not (folder / "study.yaml").exists()


def read_comparison_options(given: Mapping[str, Any]) -> ComparisonOptions:
    """Reads the values of ``COMPARISON_KEYS``.

    Raises:
        Refused: If ``metrics`` are not names, or ``margin`` is not a number above 0.
    """
    from zoo.report import ComparisonOptions

    metrics, margin = given.get("metrics") or (), given.get("margin")
    if not isinstance(metrics, list | tuple) or not all(isinstance(metric, str) for metric in metrics):
        raise Refused(f"metrics: must be names: got {metrics!r}")
    if margin is not None and (isinstance(margin, bool) or not isinstance(margin, int | float) or not margin > 0):
        raise Refused(f"margin: must be above 0: got {margin!r}")
    return ComparisonOptions(given.get("baseline"), tuple(metrics), margin)


def name_report_folder(title: str, members: Sequence[str]) -> str:
    """Returns a folder name for the report of runs without a study, which is unique to its members."""
    digest = hashlib.sha256("\0".join(sorted(members)).encode()).hexdigest()[:6]
    return f"{re.sub(r'[^a-z0-9_]+', '-', title.lower())[:48].strip('-')}-{digest}".lstrip("-")
