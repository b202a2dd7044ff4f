"""Has the cells of a study trained: each once, by us or by others that work on the same runs, failures dealt with."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zoo.checks import require
from zoo.study.cells.state import CellStatus, get_cell_status
from zoo.study.plan.setting import Cell, override
from zoo.system.signals import raise_if_interrupted
from zoo.system.terminal import say

Launch = Callable[[Sequence[Sequence[str]]], Sequence[str | None]]
Tell = Callable[[str], None]
_LOOK = 1.0  # seconds between looks at what others train


@dataclass(frozen=True)
class Policy:
    """What follows a failure.

    Args:
        on_failure: ``go_on`` with the other runs; or ``stop``: what was begun ends, and nothing else is begun.
        retries: how often a run that failed is tried again.
        abreast: runs that the launcher has going at a time; so many are launched together where one may stop all.
    """

    on_failure: str = "go_on"
    retries: int = 0
    abreast: int = 1

    def __post_init__(self) -> None:
        choices = ("go_on", "stop")
        require(self.on_failure in choices, f"on_failure must be go_on or stop: got on_failure={self.on_failure}")
        require(self.retries >= 0, f"retries must not be negative: got retries={self.retries}")


def say_error(line: str) -> None:
    """Tell it where errors go."""
    say(line, file=sys.stderr, flush=True)


def run_cells(
    cells: Sequence[Cell], launch: Launch, policy: Policy, *, before: int = 0, tell: Tell = say_error
) -> dict[str, str]:
    """Launch cells until each has a result or was tried often enough.

    What others train is left to them, and looked at again when all else is done.

    Args:
        cells: each once.
        launch: runs lists of overrides, each one training.
        policy: what follows a failure.
        before: runs of the study that were launched earlier; numbers go on from there.
        tell: shows a line.
    Returns:
        what runs died of by the word of the launcher, by hash.
    """
    said: dict[str, str] = {}
    tried: Counter[str] = Counter()
    numbers = {cell.checked.hash: number for number, cell in enumerate(cells, before + 1)}
    pending, told = list(cells), ""
    while pending:
        ready = [cell for cell in pending if get_cell_status(cell).state != "running"]
        if not ready:
            told = _waiting(pending, told, tell)
            time.sleep(_LOOK)
            continue
        batch = ready if policy.on_failure == "go_on" else ready[: policy.abreast]
        labels = [
            override("label", f"{numbers[cell.checked.hash]}/{before + len(cells)} {cell.name}") for cell in batch
        ]
        errors = launched(launch, [(*cell.overrides, label) for cell, label in zip(batch, labels, strict=True)], tell)
        said |= {cell.checked.hash: error for cell, error in zip(batch, errors, strict=False) if error}
        tried.update(cell.checked.hash for cell in batch)
        ended = [get_cell_status(cell) for cell in batch]
        again = [each.cell for each in ended if _again(each, tried, said, policy.retries)]
        if policy.on_failure == "stop" and any(each.state != "done" and each.cell not in again for each in ended):
            break
        pending = [cell for cell in pending if cell not in batch] + again
    return said


def _again(each: CellStatus[Cell], tried: Counter[str], said: dict[str, str], retries: int) -> bool:
    """Whether a cell is to be launched once more.

    One that died without a word, with its own process or that of another that had it, is worth a second try anyway.
    """
    if each.state in ("done", "running"):
        return each.state == "running"
    hash = each.cell.checked.hash
    silent = each.state == "interrupted" or (each.state != "failed" and hash not in said)
    return tried[hash] <= max(retries, 1 if silent else 0)


def _waiting(pending: Sequence[Cell], told: str, tell: Tell) -> str:
    """Say what is waited for, if it was not said already."""
    waits = "; ".join(f"{cell.name}: {get_cell_status(cell).process}" for cell in pending)
    names = ", ".join(cell.name for cell in pending)
    if names != told:
        tell(f"waiting for what others train: {waits}")
    return names


def launched(launch: Launch, jobs: Sequence[Sequence[str]], tell: Tell = say_error) -> Sequence[str | None]:
    """Launch; what a launcher itself dies of is told, and the folders say what is missing.

    Raises:
        Interrupted: if runs came back because a signal asked the command to end.
    """
    try:
        found = launch(jobs)
        raise_if_interrupted()
        return found
    except Exception as error:
        raise_if_interrupted()
        lines = [line for line in str(error).splitlines() if line.strip()]
        tell(f"the launcher failed: {type(error).__name__}: {lines[-1] if lines else ''}")
        return ()
