"""Where a study stands, read from the folders of its runs: whoever made them, and while others work on them."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from rich.console import Console
from rich.table import Column, Table

from zoo.study.plan import Cell
from zoo.training.claim import holder
from zoo.training.folder import RunFolder
from zoo.training.metrics_file import read_metrics
from zoo.training.run import run_folder, standing

State = Literal["done", "running", "failed", "interrupted", "stale", "planned"]
STATES: tuple[State, ...] = ("done", "running", "failed", "interrupted", "stale", "planned")
_OF_FOLDERS: Mapping[str, State] = {
    "new": "planned", "started": "interrupted", "failed": "failed", "done": "done", "stale": "stale"
}  # fmt: skip


@dataclass(frozen=True)
class Standing:
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
    """

    cell: Cell
    state: State
    step: int = 0
    loss: float | None = None
    silent: float | None = None
    process: str = ""
    error: str = ""
    seconds: float | None = None

    @property
    def share_left(self) -> float:
        """Of its steps, those still to be done."""
        if self.state == "done":
            return 0.0
        return 1.0 - (self.step / self.cell.checked.config["steps"] if self.state in ("running", "interrupted") else 0)


def standing_of(cell: Cell) -> Standing:
    """Where a cell stands now."""
    folder = run_folder(cell.checked)
    state = _OF_FOLDERS[standing(cell.checked)]
    if state == "done":
        return Standing(cell, state, cell.checked.config["steps"], seconds=_seconds(folder))
    other = holder(folder.path)
    if other is not None and other.live:
        return Standing(cell, "running", *_progress(folder), process=str(other))
    if state == "failed":
        failed = folder.read("failed.json") or {}
        return Standing(cell, state, *_progress(folder), error=str(failed.get("error", "")))
    return Standing(cell, state, *(_progress(folder) if state == "interrupted" else ()))


def _progress(folder: RunFolder) -> tuple[int, float | None, float | None]:
    """The last step and loss that were logged, and how long ago."""
    path = folder.path / "metrics.csv"
    lines = read_metrics(path)
    if not lines:
        return 0, None, None
    losses = [line.get("train/loss") or line.get("validation/loss") for line in lines]
    last = next((float(loss) for loss in reversed(losses) if loss), None)
    return int(float(lines[-1]["step"])), last, max(0.0, time.time() - path.stat().st_mtime)


def _seconds(folder: RunFolder) -> float | None:
    started = folder.read("started.json")
    if started is None:
        return None
    return (folder.path / "result.json").stat().st_mtime - datetime.fromisoformat(started["started"]).timestamp()


def seconds_left(found: Sequence[Standing]) -> float | None:
    """What finished runs of the same arm and task took, or else of the same task, or else all, for all that are left.

    As many runs are taken to go on side by side as do now. None if none is finished.
    """
    if not any(each.seconds for each in found):
        return None
    left = [_usual(each, found) * each.share_left for each in found]
    side_by_side = max(1, sum(each.state == "running" for each in found))
    return max(sum(left) / side_by_side, max(left, default=0.0))


def _usual(one: Standing, found: Sequence[Standing]) -> float:
    def alike(*keys: str) -> list[float]:
        same = (each for each in found if all(getattr(each.cell, key) == getattr(one.cell, key) for key in keys))
        return [each.seconds for each in same if each.seconds is not None]

    return statistics.median(alike("task", "arm") or alike("task") or alike())


# -------------------------------------------------------------------------------------------------------- shown


def as_json(name: str, found: Sequence[Standing]) -> dict[str, Any]:
    """All that is known, for machines."""
    return {
        "study": name,
        "states": count(found),
        "seconds_left": seconds_left(found),
        "cells": [
            {
                "task": each.cell.task,
                "arm": each.cell.arm,
                "seed": each.cell.seed,
                "state": each.state,
                "folder": str(run_folder(each.cell.checked).path),
                "step": each.step,
                "steps": each.cell.checked.config["steps"],
                "loss": each.loss,
                "silent": each.silent,
                "process": each.process,
                "error": each.error,
            }
            for each in found
        ],
    }


def count(found: Iterable[Standing]) -> dict[State, int]:
    """How many are in each state; without those in which none is."""
    counted = Counter(each.state for each in found)
    return {state: counted[state] for state in STATES if counted[state]}


def show(found: Sequence[Standing], console: Console) -> None:
    """A table of arms and tasks, then what runs, what failed, and how long it will take."""
    table = Table("task", Column("arm", overflow="fold"), *(Column(state, justify="right") for state in count(found)))
    groups: dict[tuple[str, str], list[Standing]] = {}
    for each in found:
        groups.setdefault((each.cell.task, each.cell.arm), []).append(each)
    for names, group in groups.items():
        counted = count(group)
        table.add_row(*names, *(str(counted.get(state, "")) for state in count(found)))
    console.print(table)
    for each in found:
        if told := _told(each):
            console.print(f"{each.state}: {each.cell.name}: {told}", highlight=False, markup=False, soft_wrap=True)
    done, left = count(found).get("done", 0), seconds_left(found)
    ends = "" if left is None or done == len(found) else f", about {duration(left)} left"
    console.print(f"{done} of {len(found)} runs done{ends}", highlight=False)


def _told(each: Standing) -> str:
    if each.state == "failed":
        return f"{next(iter(each.error.splitlines()), '')}  {run_folder(each.cell.checked).path}"
    if each.state not in ("running", "interrupted"):
        return ""
    loss = "" if each.loss is None else f"  loss {each.loss:.4g}"
    silent = "" if each.silent is None else f"  {duration(each.silent)} ago"
    by = f"  {each.process}" if each.process else ""
    return f"step {each.step}/{each.cell.checked.config['steps']}{loss}{silent}{by}"


def duration(seconds: float) -> str:
    """As a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
