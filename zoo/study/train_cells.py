"""Trains the cells of a study: each once, by this process or by others that share the runs."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zoo.checks import require
from zoo.config.format_override import format_override
from zoo.study.cells.cell_status import CellStatus, get_cell_status
from zoo.study.plan.cell import Cell
from zoo.system.signals import raise_if_interrupted
from zoo.system.terminal import say

Launch = Callable[[Sequence[Sequence[str]]], Sequence[str | None]]
"""Launches trainings, each given by its overrides; returns the error of each, as far as the launcher knows it."""
PrintLine = Callable[[str], None]
_POLL_SECONDS = 1.0  # between looks at runs that other processes train


@dataclass(frozen=True)
class FailurePolicy:
    """Handling of failed runs.

    Args:
        on_failure: ``"go_on"`` with the other runs; or ``"stop"``, which finishes running ones and starts no others.
        retries: Number of times that a failed run is tried again.
        parallel_runs: Number of runs that the launcher runs at a time. With ``on_failure="stop"`` no more than this
            are launched together.
    """

    on_failure: str = "go_on"
    retries: int = 0
    parallel_runs: int = 1

    def __post_init__(self) -> None:
        choices = ("go_on", "stop")
        require(self.on_failure in choices, f"on_failure must be go_on or stop: got on_failure={self.on_failure}")
        require(self.retries >= 0, f"retries must not be negative: got retries={self.retries}")


def print_error_line(line: str) -> None:
    """Prints a line to the standard error."""
    say(line, file=sys.stderr, flush=True)


def run_cells(
    cells: Sequence[Cell],
    launch: Launch,
    policy: FailurePolicy,
    *,
    before: int = 0,
    print_line: PrintLine = print_error_line,
) -> dict[str, str]:
    """Launches cells until each has a result or has failed too often.

    Cells that other processes are training are left to them, and checked again when all others have ended.

    Args:
        cells: Distinct cells.
        launch: Launches trainings.
        policy: Handling of failed runs.
        before: Number of earlier runs of the study, from which the numbers of runs continue.
        print_line: Prints a line.
    Returns:
        Errors of runs as reported by the launcher, by hash.
    """
    errors: dict[str, str] = {}
    attempts: Counter[str] = Counter()
    numbers = {cell.hash: number for number, cell in enumerate(cells, before + 1)}
    pending, announced = list(cells), ""
    while pending:
        ready = [cell for cell in pending if get_cell_status(cell).state != "running"]
        if not ready:
            announced = _print_waiting(pending, announced, print_line)
            time.sleep(_POLL_SECONDS)
            continue
        batch = ready if policy.on_failure == "go_on" else ready[: policy.parallel_runs]
        labels = [f"{numbers[cell.hash]}/{before + len(cells)} {cell.name}" for cell in batch]
        jobs = [(*cell.overrides, format_override("label", label)) for cell, label in zip(batch, labels, strict=True)]
        found = launch_jobs(launch, jobs, print_line)
        errors |= {cell.hash: error for cell, error in zip(batch, found, strict=False) if error}
        attempts.update(cell.hash for cell in batch)
        ended = [get_cell_status(cell) for cell in batch]
        again = [status.cell for status in ended if _should_retry(status, attempts, errors, policy.retries)]
        if policy.on_failure == "stop" and any(each.state != "done" and each.cell not in again for each in ended):
            break
        pending = [cell for cell in pending if cell not in batch] + again
    return errors


def _should_retry(
    status: CellStatus[Cell], attempts: Mapping[str, int], errors: Mapping[str, str], retries: int
) -> bool:
    """True if a cell is to be launched again.

    A run that ended without an error, such as one whose process was killed, is tried twice in any case.
    """
    if status.state in ("done", "running"):
        return status.state == "running"
    is_silent = status.state == "interrupted" or (status.state != "failed" and status.cell.hash not in errors)
    return attempts[status.cell.hash] <= max(retries, 1 if is_silent else 0)


def _print_waiting(pending: Sequence[Cell], announced: str, print_line: PrintLine) -> str:
    """Prints the runs that are waited for, unless they are those announced last; returns their names."""
    processes = "; ".join(f"{cell.name}: {get_cell_status(cell).process}" for cell in pending)
    names = ", ".join(cell.name for cell in pending)
    if names != announced:
        print_line(f"waiting for other processes to finish: {processes}")
    return names


def launch_jobs(
    launch: Launch, jobs: Sequence[Sequence[str]], print_line: PrintLine = print_error_line
) -> Sequence[str | None]:
    """Launches trainings, and prints the error of the launcher itself if it fails.

    Raises:
        Interrupted: If a signal asked the command to end.
    """
    try:
        found = launch(jobs)
        raise_if_interrupted()
        return found
    except Exception as error:
        raise_if_interrupted()
        lines = [line for line in str(error).splitlines() if line.strip()]
        print_line(f"the launcher failed: {type(error).__name__}: {lines[-1] if lines else ''}")
        return ()
