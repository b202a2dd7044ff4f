"""Status of the cells of a study, read from the folders of their runs, also while other processes train them."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from zoo.runs.claim import find_holder
from zoo.runs.metrics_file import read_metrics
from zoo.runs.run_folder import RunFolder
from zoo.study.plan.cell import CellView
from zoo.system.files import Damaged

State = Literal["done", "running", "failed", "interrupted", "stale", "planned"]
STATES: tuple[State, ...] = ("done", "running", "failed", "interrupted", "stale", "planned")
_FOLDER_STATES: Mapping[str, State] = {
    "new": "planned", "started": "interrupted", "failed": "failed", "done": "done", "stale": "stale",
    "damaged": "failed",
}  # fmt: skip


C = TypeVar("C", bound=CellView)
C_co = TypeVar("C_co", bound=CellView, covariant=True)


@dataclass(frozen=True)
class CellStatus(Generic[C_co]):
    """Status of a cell.

    Attributes:
        cell: The cell.
        state: ``"running"`` if a live process has claimed the run, ``"interrupted"`` if it was started and none has.
        step: Last step that was logged.
        loss: Last loss that was logged, if any.
        silent: Seconds since the last log entry; None if there is none.
        process: Process that trains the run, and its machine.
        error: Error message of a failed run.
        seconds: Duration of a finished run since it was last started, in seconds.
        pace: Estimated duration of all steps of an unfinished run, in seconds, by the steps that were logged.
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
        """Fraction of the steps that remain."""
        if self.state == "done":
            return 0.0
        return 1.0 - (self.step / self.cell.steps if self.state in ("running", "interrupted") else 0)


def get_cell_status(cell: C) -> CellStatus[C]:
    """Returns the current status of a cell."""
    folder, state = cell.folder, _FOLDER_STATES[cell.compare()]
    if state == "done":
        return CellStatus(cell, state, cell.steps, seconds=_measure_seconds(folder))
    holder = find_holder(folder.path)
    if holder is not None and holder.live:
        return CellStatus(cell, "running", **_read_progress(cell, folder), process=str(holder))
    if state == "failed":
        return CellStatus(cell, state, **_read_progress(cell, folder), error=_read_error(folder))
    return CellStatus(cell, state, **(_read_progress(cell, folder) if state == "interrupted" else {}))


def _read_progress(cell: CellView, folder: RunFolder) -> dict[str, Any]:
    """Reads the last step and loss that were logged, the age of the log, and the pace."""
    path = folder.path / "metrics.csv"
    try:
        lines = read_metrics(path)
    except Damaged:  # the next training of the run moves the file away and says so
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


def _read_error(folder: RunFolder) -> str:
    """Reads the error of a failed run, or describes the file that is damaged."""
    if (damage := folder.find_damage()) is not None:
        return str(damage)
    failure = folder.read_failure()
    return "" if failure is None else failure.error


def _measure_seconds(folder: RunFolder) -> float | None:
    try:
        start = folder.read_start()
        if start is None or start.started is None:
            return None
        return (folder.path / "result.json").stat().st_mtime - start.started.timestamp()
    except (Damaged, OSError):
        return None


def estimate_seconds_left(found: Sequence[CellStatus[CellView]], parallel_runs: int = 1) -> float | None:
    """Estimates how long the remaining runs take, in seconds; None if there is nothing to go by.

    The duration of a run is the median over finished runs of the same arm and task, or else of the same task, or else
    of all; before any run has finished, over the pace of unfinished runs in the same order.

    Args:
        found: Status of the runs.
        parallel_runs: Number of runs that run at a time, unless more are running now.
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
    parallel = max(parallel_runs, sum(each.state == "running" for each in found))
    return max(sum(left) / parallel, max(left, default=0.0))


def _list_groups(cell: CellView) -> list[tuple[str, ...]]:
    """Lists the groups of runs whose durations may estimate that of a cell, the best first."""
    similar = (cell.task, cell.arm), (cell.task,), ()
    return [(attribute, *names) for attribute in ("seconds", "pace") for names in similar]


def build_status_json(found: Sequence[CellStatus[CellView]]) -> dict[str, Any]:
    """Returns the status of the runs as JSON types."""
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
