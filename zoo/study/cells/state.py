"""Where a study stands, read from the folders of its runs: whoever made them, and while others work on them."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from zoo.runs.claim import find_holder
from zoo.runs.metrics_file import read_metrics
from zoo.runs.run_folder import RunFolder
from zoo.study.plan.setting import CellView
from zoo.system.files import Damaged

State = Literal["done", "running", "failed", "interrupted", "stale", "planned"]
STATES: tuple[State, ...] = ("done", "running", "failed", "interrupted", "stale", "planned")
_OF_FOLDERS: Mapping[str, State] = {
    "new": "planned", "started": "interrupted", "failed": "failed", "done": "done", "stale": "stale",
    "damaged": "failed",
}  # fmt: skip


C = TypeVar("C", bound=CellView)
C_co = TypeVar("C_co", bound=CellView, covariant=True)


@dataclass(frozen=True)
class Standing(Generic[C_co]):
    """Where one cell stands.

    Attributes:
        cell: which.
        state: running if a process has claimed it that is there; interrupted if it was begun and none has.
        step: the last one that was logged.
        loss: the last one that was logged, if any.
        silent: seconds since something was logged; None if nothing was.
        process: which trains it, and where.
        error: of a failed one.
        seconds: that a finished one took since it was last begun.
        pace: seconds that all of its steps take, by those that were logged; of one that has not ended.
    """

    cell: C_co
    state: State
    step: int = 0
    loss: float | None = None
    silent: float | None = None
    process: str = ""
    error: str = ""
    seconds: float | None = None
    pace: float | None = None

    @property
    def share_left(self) -> float:
        """Of its steps, those still to be done."""
        if self.state == "done":
            return 0.0
        return 1.0 - (self.step / self.cell.steps if self.state in ("running", "interrupted") else 0)


def standing_of(cell: C) -> Standing[C]:
    """Where a cell stands now."""
    folder, state = cell.folder, _OF_FOLDERS[cell.compare()]
    if state == "done":
        return Standing(cell, state, cell.steps, seconds=_seconds(folder))
    other = find_holder(folder.path)
    if other is not None and other.live:
        return Standing(cell, "running", **_progress(cell, folder), process=str(other))
    if state == "failed":
        damage = folder.find_damage()
        why = damage or (folder.read("failed.json") or {}).get("error", "")
        return Standing(cell, state, **_progress(cell, folder), error=str(why))
    return Standing(cell, state, **(_progress(cell, folder) if state == "interrupted" else {}))


def _progress(cell: CellView, folder: RunFolder) -> dict[str, Any]:
    """The last step and loss that were logged, how long ago, and at which pace."""
    path = folder.path / "metrics.csv"
    try:
        lines = read_metrics(path)
    except Damaged:  # the run is set aside when it is trained again, which says so
        lines = []
    if not lines:
        return {}
    losses = [line.get("train/loss") or line.get("validation/loss") for line in lines]
    step, seconds = int(float(lines[-1]["step"])), float(lines[-1].get("seconds", 0.0))
    return {
        "step": step,
        "loss": next((float(loss) for loss in reversed(losses) if loss), None),
        "silent": max(0.0, time.time() - path.stat().st_mtime),
        "pace": seconds / step * cell.steps if step and seconds else None,
    }


def _seconds(folder: RunFolder) -> float | None:
    try:
        begun = datetime.fromisoformat((folder.read("started.json") or {})["started"])
        return (folder.path / "result.json").stat().st_mtime - begun.timestamp()
    except (Damaged, LookupError, ValueError):
        return None


def seconds_left(found: Sequence[Standing[CellView]], abreast: int = 1) -> float | None:
    """How long all that are left will take; None if nothing tells.

    One takes what finished runs of the same arm and task took, or else of the same task, or else all; before any is
    finished, what those that run will take at their pace.

    Args:
        found: where the runs stand.
        abreast: runs that go on side by side, if not more do now.
    """
    groups: dict[tuple[str, ...], list[float]] = {}
    for each in found:
        for names in _groups(each.cell):
            if (seconds := getattr(each, names[0])) is not None:
                groups.setdefault(names, []).append(seconds)
    if not groups:
        return None
    usual = {names: statistics.median(seconds) for names, seconds in groups.items()}
    left = [each.share_left * next(usual[names] for names in _groups(each.cell) if names in usual) for each in found]
    side_by_side = max(abreast, sum(each.state == "running" for each in found))
    return max(sum(left) / side_by_side, max(left, default=0.0))


def _groups(cell: CellView) -> list[tuple[str, ...]]:
    """What is known of whom may tell how long a run takes, the best guess first."""
    alike = (cell.task, cell.arm), (cell.task,), ()
    return [(known, *names) for known in ("seconds", "pace") for names in alike]


def as_json(found: Sequence[Standing[CellView]]) -> dict[str, Any]:
    """All that is known of runs, for machines."""
    return {
        "states": count(found),
        "seconds_left": seconds_left(found),
        "cells": [
            {
                "task": each.cell.task,
                "arm": each.cell.arm,
                "seed": each.cell.seed,
                "rate": each.cell.rate,
                "tuning": each.cell.tuning,
                "state": each.state,
                "folder": str(each.cell.folder.path),
                "step": each.step,
                "steps": each.cell.steps,
                "loss": each.loss,
                "silent": each.silent,
                "process": each.process,
                "error": each.error,
            }
            for each in found
        ],
    }


def count(found: Iterable[Standing[CellView]]) -> dict[State, int]:
    """How many are in each state; without those in which none is."""
    counted = Counter(each.state for each in found)
    return {state: counted[state] for state in STATES if counted[state]}


def duration(seconds: float) -> str:
    """As a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
