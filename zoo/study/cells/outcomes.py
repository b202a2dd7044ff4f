"""Outcomes of the runs of a study, read from their folders."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from zoo.runs.run_result import RunResult
from zoo.study.plan.cell import Cell
from zoo.study.plan.study_plan import StudyPlan
from zoo.training.run import find_status, run_folder

Outcome = float | Literal["lost"] | None
"""Metric value of a run, non-finite if it diverged; ``"lost"`` if it ended without one; None if it has not ended."""
ReadOutcome = Callable[[Cell], Outcome]


def build_outcome_reader(plan: StudyPlan, *, stale: bool = False) -> ReadOutcome:
    """Returns a function that reads the outcome of a run by the first metric of its task.

    Args:
        plan: Plan of the study.
        stale: If True, results of other code or data count as well; by default such runs count as not ended.
    """
    metrics = {task.name: task.metrics for task in plan.tasks}

    def read_outcome(cell: Cell) -> Outcome:
        state = find_status(cell.checked)
        if state != "done" and not (stale and state == "stale"):
            return "lost" if state == "failed" else None
        if (result := run_folder(cell.checked).read_result()) is None:
            return None
        values = [_get_value(result, name) for name in metrics[cell.task]]
        return math.nan if any(isinstance(value, float) and math.isnan(value) for value in values) else values[0]

    return read_outcome


def build_metric_reader(metric: str, read_outcome: ReadOutcome) -> ReadOutcome:
    """Returns a function that reads the outcome of a run by another metric.

    Args:
        metric: Name of the metric.
        read_outcome: Tells which runs have ended, and the outcome of those without a result.
    """

    def read_metric(cell: Cell) -> Outcome:
        outcome = read_outcome(cell)
        result = None if outcome is None else cell.folder.read_result()
        return outcome if result is None else _get_value(result, metric)

    return read_metric


def _get_value(result: RunResult, metric: str) -> float | Literal["lost"]:
    if result.diverged:
        return math.nan
    value = result.get_metric(metric)
    return "lost" if value is None else value
