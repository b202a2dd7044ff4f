"""One arm on one task: what it reached on every seed, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from zoo.report.records.flat_configs import flatten, format_value
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Match, Run, Study
from zoo.statistics import Interval, Values, mean_interval, paired_difference
from zoo.units import is_different


@dataclass(frozen=True)
class Cell:
    """One metric of one arm.

    ``values`` are by seed, NaN for a run that diverged; ``interval`` is over the finite ones, None if there is none.
    ``difference`` is to the arm that this one is compared with, paired by seed; None where nothing is compared.
    """

    metric: Metric
    values: Values
    interval: Interval | None
    difference: Interval | None = None


@dataclass(frozen=True)
class Row:
    """One arm on one task. What no run has told is None.

    Attributes:
        against: the arm that it is compared with; empty where it is with none.
        flops_per_token: of training, those that the method needs.
        executed_flops_per_token: those that the implementation executed, hidden pairs among them.
        tokens: of one training.
        cache_bytes_per_token: that decoding remembers, over a row of the data; None for what does not decode so.
        peak_memory: bytes, the most of any run.
        seconds: of one training, a mean.
        energy: joules of one training, a mean over the runs of which it is known.
        rate: the learning rate, where the study chose it.
        match: what was moved to match the baseline.
        planned: runs; those that served the choice of a learning rate are in none of these.
        stale: runs of other code than what is there now; they count as not finished where others are not.
    """

    arm: str
    baseline: bool
    against: str
    overrides: Mapping[str, str]
    parameters: int | None
    active_parameters: int | None
    flops_per_token: int | None
    executed_flops_per_token: int | None
    tokens: int | None
    tokens_per_second: Interval | None
    cache_bytes_per_token: float | None
    peak_memory: float | None
    seconds: float | None
    energy: float | None
    rate: float | None
    match: Match | None
    cells: tuple[Cell, ...]
    planned: int
    done: int
    failed: int
    diverged: int
    stale: int
    not_applicable: str = ""

    @property
    def executes_more(self) -> bool:
        """Whether what is executed differs from what the method needs by more than a percent."""
        return is_different(self.executed_flops_per_token, self.flops_per_token)

    @property
    def unfinished(self) -> int:
        """Seeds that neither finished nor failed."""
        return self.planned - self.done - self.failed

    @property
    def outcomes(self) -> dict[int, float]:
        """The first metric by seed; NaN also where the run diverged in another."""
        lost = {seed for cell in self.cells for seed, value in cell.values.items() if not math.isfinite(value)}
        return {**self.cells[0].values, **dict.fromkeys(sorted(lost), math.nan)} if self.cells else {}


def row_of(
    study: Study, task: str, arm: str, runs: Sequence[Run], metrics: Sequence[Metric], against: str, base: Sequence[Run]
) -> Row:
    """The row of an arm.

    Args:
        study: its overrides, baseline and what was moved.
        task: name of the task.
        arm: name of the arm.
        runs: of this arm on this task.
        metrics: of the task.
        against: the arm that it is compared with, if any.
        base: runs of that.
    """
    cells = tuple(_cell(runs, metric, base) for metric in metrics)
    speed = _finite(_values(runs, Metric.from_name("tokens_per_second")))
    cached, length = _cost(runs, "cache_bytes"), _cost(runs, "length")
    rates = {run.rate for run in runs}
    return Row(
        arm=arm,
        baseline=arm == study.baseline,
        against=against,
        overrides={key: format_value(value) for key, value in flatten(study.arms[arm]).items()},
        parameters=_cost(runs, "parameters"),
        active_parameters=_cost(runs, "active_parameters"),
        flops_per_token=_cost(runs, "flops_per_token"),
        executed_flops_per_token=_cost(runs, "executed_flops_per_token"),
        tokens=next((int(run.result["tokens"]) for run in runs if run.result and run.result.get("tokens")), None),
        tokens_per_second=mean_interval(list(speed.values())) if speed else None,
        cache_bytes_per_token=cached / length if cached is not None and length else None,
        peak_memory=max(_told(runs, "cost", "peak_memory_bytes"), default=None),
        seconds=_mean(_told(runs, "seconds")),
        energy=_mean(_told(runs, "energy_joules")),
        rate=rates.pop() if len(rates) == 1 else None,
        match=study.matches.get((arm, task)),
        cells=cells,
        planned=len(runs),
        done=sum(run.result is not None for run in runs),
        failed=sum(run.failure is not None for run in runs),
        diverged=len({seed for cell in cells for seed, value in cell.values.items() if not math.isfinite(value)}),
        stale=sum(run.stale for run in runs),
        not_applicable=next((why for a, t, why in study.not_applicable if (a, t) == (arm, task)), ""),
    )


def _cell(runs: Sequence[Run], metric: Metric, base: Sequence[Run]) -> Cell:
    values = _values(runs, metric)
    finite, others = _finite(values), _finite(_values(base, metric))
    return Cell(
        metric,
        values,
        mean_interval(list(finite.values())) if finite else None,
        paired_difference(finite, others) if finite.keys() & others.keys() else None,
    )


def _values(runs: Sequence[Run], metric: Metric) -> dict[int, float]:
    """The metric by seed, of the runs that report it; null is NaN, and so is all of a run that diverged."""
    told = {run.seed: run.result for run in runs if run.result and metric.name in (run.result.get("metrics") or {})}
    return {
        seed: math.nan if result.get("diverged") else _number(result["metrics"][metric.name])
        for seed, result in sorted(told.items())
    }


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _finite(values: Values) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if math.isfinite(value)}


def _cost(runs: Sequence[Run], name: str) -> int | None:
    """The same for all seeds."""
    return next(map(int, _told(runs, "cost", name)), None)


def _told(runs: Sequence[Run], *path: str) -> list[float]:
    """A number of the result of each run that tells it."""
    found = []
    for run in runs:
        value: Any = run.result
        for key in path:
            value = (value or {}).get(key)
        found += [float(value)] if value is not None else []
    return found


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
