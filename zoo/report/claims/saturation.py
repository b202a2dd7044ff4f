"""Saturated metrics, with all arms at their floor or ceiling, and the metrics that replace them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from zoo.report.claims.format import format_metric
from zoo.report.records.metrics import SENSITIVE_METRICS, Metric
from zoo.report.records.records import Run, Task, find_loss_differences

End = Literal["floor", "ceiling", "same"]
NEAR = 0.01
"""Largest distance from a bound at which a value counts as saturated, as a share of the range of the metric."""


@dataclass(frozen=True)
class Saturation:
    """Saturation of the primary metric of a task.

    Attributes:
        metric: saturated metric.
        end: whether all runs have the worst possible value (floor), the best (ceiling), or the same number.
        low: smallest value of any run.
        high: largest value of any run.
        instead: metric that replaces it; None if no other metric varies.
    """

    metric: Metric
    end: End
    low: float
    high: float
    instead: Metric | None

    @property
    def sentence(self) -> str:
        """Sentence for the reader of the report."""
        values = dict.fromkeys(format_metric(self.metric, value) for value in (self.low, self.high))
        where = "the same in every run" if self.end == "same" else f"at its {self.end} in every run"
        fact = f"{self.metric.label} is {where} ({' to '.join(values)}) and cannot distinguish the arms"
        if self.instead is None:
            return f"{fact}, nor can any other metric of these runs."
        return f"{fact}; {self.instead.label} is used instead."


def find_saturated_end(metric: Metric, values: Iterable[Iterable[float]]) -> End | None:
    """Returns the end of the range at which a metric is saturated; None if its values differ.

    Args:
        metric: metric whose bounds and goal distinguish floor and ceiling.
        values: values of each arm, of which there must be at least two; values that are not finite are ignored.
    """
    finite = [found for arm in values if (found := [value for value in arm if math.isfinite(value)])]
    if len(finite) < 2:
        return None
    low, high = min(map(min, finite)), max(map(max, finite))
    least, most = metric.bounds
    near = NEAR * (most - least) if math.isfinite(most - least) else 0.0
    if metric.goal is None or not least <= low <= high <= most:
        return None
    if high <= least + near:
        return "floor" if metric.goal == "higher" else "ceiling"
    if low >= most - near:
        return "ceiling" if metric.goal == "higher" else "floor"
    return "same" if low == high else None


def replace_saturated(task: Task, runs: Sequence[Run]) -> tuple[Task, Saturation | None]:
    """Replaces the primary metric of a task if it is saturated.

    The replacement is the next metric of the task that varies, or else the first of :data:`SENSITIVE_METRICS` that
    does, so it is not chosen for the verdicts that it gives. If the arms differ in objective or data, only metrics of
    the task are considered.

    Args:
        task: task whose first metric is the primary one.
        runs: runs of the task.

    Returns:
        The task, and the saturation of its primary metric; None if that is not saturated.
    """
    results = _group_metrics(runs)
    if not task.metrics or not task.comparable:
        return task, None
    first = Metric.from_name(task.metrics[0])
    found = _collect_values(results, first.name)
    end = find_saturated_end(first, found)
    if end is None:
        return task, None
    names = [*task.metrics[1:], *(SENSITIVE_METRICS if _has_comparable_losses(runs) else ())]
    instead = next((metric for metric in map(Metric.from_name, names) if _is_informative(results, metric)), None)
    if instead is None and end == "same":
        return task, None  # arms that are level
    every = [value for arm in found for value in arm if math.isfinite(value)]
    saturation = Saturation(first, end, min(every), max(every), instead)
    if instead is None:
        return task, saturation
    metrics = dict.fromkeys((instead.name, *task.metrics))
    return replace(task, metrics=tuple(metrics), margin=None), saturation


def _group_metrics(runs: Sequence[Run]) -> dict[str, list[Mapping[str, float | None]]]:
    """Groups the metrics of all finished runs by arm."""
    found: dict[str, list[Mapping[str, float | None]]] = {}
    for run in runs:
        if run.result:
            found.setdefault(run.arm, []).append(run.metrics)
    return found


def _collect_values(results: Mapping[str, Sequence[Mapping[str, float | None]]], name: str) -> list[list[float]]:
    return [[math.nan if (value := one.get(name)) is None else float(value) for one in arm] for arm in results.values()]


def _is_informative(results: Mapping[str, Sequence[Mapping[str, float | None]]], metric: Metric) -> bool:
    """True if every run reports the metric and it differs between runs."""
    there = all(metric.name in one for arm in results.values() for one in arm)
    return (
        there and metric.goal is not None and find_saturated_end(metric, _collect_values(results, metric.name)) is None
    )


def _has_comparable_losses(runs: Sequence[Run]) -> bool:
    """True if all runs have the same objective and data, so their losses measure the same thing."""
    return not find_loss_differences(runs)
