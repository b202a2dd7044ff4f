"""Metrics at whose floor or ceiling all arms stand, so that they tell nothing apart, and what to judge by instead."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from zoo.report.claims.format import quantity
from zoo.report.records.metrics import SENSITIVE_METRICS, Metric
from zoo.report.records.records import Run, Task, find_loss_differences

End = Literal["floor", "ceiling", "same"]
NEAR = 0.01
"""How far from a bound a value may be and still stand there, as a share of the range of a metric with two bounds."""


@dataclass(frozen=True)
class Saturation:
    """A metric that cannot tell the arms apart.

    Attributes:
        metric: the one that was to decide.
        end: the worst possible value (floor), the best (ceiling), or the same number in every run.
        low: least value of any run.
        high: largest value of any run.
        instead: the metric that decides in its place; None if no other one moves.
    """

    metric: Metric
    end: End
    low: float
    high: float
    instead: Metric | None

    @property
    def sentence(self) -> str:
        """What a reader must know before anything else."""
        values = dict.fromkeys(quantity(self.metric, value) for value in (self.low, self.high))
        where = "the same in every run" if self.end == "same" else f"at its {self.end} in every run"
        told = f"{self.metric.label} is {where} ({' to '.join(values)}), so it cannot tell the arms apart"
        if self.instead is None:
            return f"{told}, and these runs have no other metric that does."
        return f"{told}; {self.instead.label} does, and is used instead."


def saturated_end(metric: Metric, values: Iterable[Iterable[float]]) -> End | None:
    """Where all values stand, of two arms or more; None if they are apart.

    Args:
        metric: its bounds and goal tell floor from ceiling.
        values: of each arm; what is not finite is left out.
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
    results = _by_arm(runs)
    if not task.metrics or not task.comparable:
        return task, None
    first = Metric.from_name(task.metrics[0])
    found = _values(results, first.name)
    end = saturated_end(first, found)
    if end is None:
        return task, None
    names = [*task.metrics[1:], *(SENSITIVE_METRICS if _alike(runs) else ())]
    instead = next((metric for metric in map(Metric.from_name, names) if _moves(results, metric)), None)
    if instead is None and end == "same":
        return task, None  # arms that are level
    every = [value for arm in found for value in arm if math.isfinite(value)]
    saturation = Saturation(first, end, min(every), max(every), instead)
    if instead is None:
        return task, saturation
    metrics = dict.fromkeys((instead.name, *task.metrics))
    return replace(task, metrics=tuple(metrics), margin=None), saturation


def _by_arm(runs: Sequence[Run]) -> dict[str, list[Mapping[str, float | None]]]:
    """The metrics of all finished runs."""
    found: dict[str, list[Mapping[str, float | None]]] = {}
    for run in runs:
        if run.result:
            found.setdefault(run.arm, []).append(run.result.get("metrics") or {})
    return found


def _values(results: Mapping[str, Sequence[Mapping[str, float | None]]], name: str) -> list[list[float]]:
    return [[math.nan if (value := one.get(name)) is None else float(value) for one in arm] for arm in results.values()]


def _moves(results: Mapping[str, Sequence[Mapping[str, float | None]]], metric: Metric) -> bool:
    """True if every run reports the metric and it differs between runs."""
    there = all(metric.name in one for arm in results.values() for one in arm)
    return there and metric.goal is not None and saturated_end(metric, _values(results, metric.name)) is None


def _alike(runs: Sequence[Run]) -> bool:
    """True if all runs have one objective and the same data, so that their losses measure the same thing."""
    return not find_loss_differences(runs)
