"""Status of the runs of a study, read from their folders, also while other processes train them."""

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
class CellStatus(Generic[C_co]):
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
        """Share of the steps that remain."""
        if self.state == "done":
            return 0.0
        return 1.0 - (self.step / self.cell.steps if self.state in ("running", "interrupted") else 0)


def get_cell_status(cell: C) -> CellStatus[C]:
    """Returns the current status of a cell."""
    folder, state = cell.folder, _OF_FOLDERS[cell.compare()]
    if state == "done":
        return CellStatus(cell, state, cell.steps, seconds=_measure_seconds(folder))
    other = find_holder(folder.path)
    if other is not None and other.live:
        return CellStatus(cell, "running", **_read_progress(cell, folder), process=str(other))
    if state == "failed":
        damage = folder.find_damage()
        why = damage or (folder.read("failed.json") or {}).get("error", "")
        return CellStatus(cell, state, **_read_progress(cell, folder), error=str(why))
    return CellStatus(cell, state, **(_read_progress(cell, folder) if state == "interrupted" else {}))


def _read_progress(cell: CellView, folder: RunFolder) -> dict[str, Any]:
    """Reads the last step and loss that were logged, their age and the pace."""
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


def _measure_seconds(folder: RunFolder) -> float | None:
    try:
        begun = datetime.fromisoformat((folder.read("started.json") or {})["started"])
        return (folder.path / "result.json").stat().st_mtime - begun.timestamp()
    except (Damaged, LookupError, ValueError):
        return None


def estimate_seconds_left(found: Sequence[CellStatus[CellView]], abreast: int = 1) -> float | None:
    """Estimates how long the remaining runs take; None if no run gives an estimate.

    One takes what finished runs of the same arm and task took, or else of the same task, or else all; before any is
    finished, what those that run will take at their pace.

    Args:
        found: where the runs stand.
        abreast: runs that go on side by side, if not more do now.
    """
    groups: dict[tuple[str, ...], list[float]] = {}
    for each in found:
        for names in _list_groups(each.cell):
            if (seconds := getattr(each, names[0])) is not None:
                groups.setdefault(names, []).append(seconds)
    if not groups:
        return None
    usual = {names: statistics.median(seconds) for names, seconds in groups.items()}
    left = [
        each.share_left * next(usual[names] for names in _list_groups(each.cell) if names in usual) for each in found
    ]
    side_by_side = max(abreast, sum(each.state == "running" for each in found))
    return max(sum(left) / side_by_side, max(left, default=0.0))


def _list_groups(cell: CellView) -> list[tuple[str, ...]]:
    """What is known of whom may tell how long a run takes, the best guess first."""
    alike = (cell.task, cell.arm), (cell.task,), ()
    return [(known, *names) for known in ("seconds", "pace") for names in alike]


def as_json(found: Sequence[CellStatus[CellView]]) -> dict[str, Any]:
    """Returns the status of runs as JSON types."""
    return {
        "states": count_states(found),
        "seconds_left": estimate_seconds_left(found),
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


def count_states(found: Iterable[CellStatus[CellView]]) -> dict[State, int]:
    """Counts the runs in each state; states without runs are left out."""
    counted = Counter(each.state for each in found)
    return {state: counted[state] for state in STATES if counted[state]}
