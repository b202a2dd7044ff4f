"""Rows of a table: the results of an arm on a task for every seed, and its costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from zoo.report.records.metrics import Metric
from zoo.report.records.records import Match, Run, Study
from zoo.runs.flat_configs import flatten, format_value
from zoo.statistics import Interval, Values, compute_mean_interval, compute_paired_difference
from zoo.system.units import is_different


@dataclass(frozen=True)
class Cell:
    """Results of one metric of an arm.

    Attributes:
        metric: the metric.
        values: values by seed; NaN for a run that diverged.
        interval: mean and interval of the finite values; None if there are none.
        difference: difference to the reference, paired by seed; None if there is no shared seed.
    """

    metric: Metric
    values: Values
    interval: Interval | None
    difference: Interval | None = None


@dataclass(frozen=True)
class Row:
    """An arm on a task. Costs that no run reports are None.

    Attributes:
        arm: name of the arm.
        baseline: True for the baseline of the study.
        against: reference that the arm is compared with; empty if there is none.
        overrides: overrides of the arm, formatted.
        parameters: parameters of the model.
        active_parameters: parameters that take part in the computation of a token.
        flops_per_token: training FLOPs per token that the method requires.
        executed_flops_per_token: training FLOPs per token that the implementation executes, masked pairs included.
        tokens: tokens of one run.
        tokens_per_second: training speed.
        cache_bytes_per_token: bytes of the decoding cache per token of a row; None for models without a cache.
        peak_memory: largest peak memory of any run, in bytes.
        seconds: mean duration of a run.
        energy: mean energy of the runs that report it, in joules.
        rate: learning rate, if the study tuned it.
        match: change that matches the arm to the baseline.
        cells: results by metric, the primary metric first.
        planned: number of planned runs, runs for learning-rate tuning excluded; also for the counts below.
        done: number of finished runs.
        failed: number of failed runs.
        diverged: number of seeds that diverged in any metric.
        stale: number of results from a different version of the code or data.
        not_applicable: reason why the arm cannot be trained on the task; empty if it can.
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
        """True if executed and required FLOPs differ by more than 1 %."""
        return is_different(self.executed_flops_per_token, self.flops_per_token)

    @property
    def unfinished(self) -> int:
        """Number of runs that have neither finished nor failed."""
        return self.planned - self.done - self.failed

    @property
    def outcomes(self) -> dict[int, float]:
        """Values of the primary metric by seed; NaN if the run diverged in any metric."""
        lost = {seed for cell in self.cells for seed, value in cell.values.items() if not math.isfinite(value)}
        return {**self.cells[0].values, **dict.fromkeys(sorted(lost), math.nan)} if self.cells else {}


def build_row(
    study: Study, task: str, arm: str, runs: Sequence[Run], metrics: Sequence[Metric], against: str, base: Sequence[Run]
) -> Row:
    """Builds the row of an arm.

    Args:
        study: study with the overrides, the baseline and the matches.
        task: name of the task.
        arm: name of the arm.
        runs: runs of the arm on the task.
        metrics: metrics of the task.
        against: reference of the arm; empty if there is none.
        base: runs of the reference.
    """
    cells = tuple(_build_cell(runs, metric, base) for metric in metrics)
    speed = _drop_nonfinite(_collect_values(runs, Metric.from_name("tokens_per_second")))
    cached, length = _get_cost(runs, "cache_bytes"), _get_cost(runs, "length")
    rates = {run.rate for run in runs}
    return Row(
        arm=arm,
        baseline=arm == study.baseline,
        against=against,
        overrides={key: format_value(value) for key, value in flatten(study.arms[arm]).items()},
        parameters=_get_cost(runs, "parameters"),
        active_parameters=_get_cost(runs, "active_parameters"),
        flops_per_token=_get_cost(runs, "flops_per_token"),
        executed_flops_per_token=_get_cost(runs, "executed_flops_per_token"),
        tokens=next((run.result.tokens for run in runs if run.result and run.result.tokens), None),
        tokens_per_second=compute_mean_interval(list(speed.values())) if speed else None,
        cache_bytes_per_token=cached / length if cached is not None and length else None,
        peak_memory=max(_collect_costs(runs, "peak_memory_bytes"), default=None),
        seconds=_compute_mean([run.result.seconds for run in runs if run.result]),
        energy=_compute_mean([run.result.energy_joules for run in runs if run.result]),
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


def _build_cell(runs: Sequence[Run], metric: Metric, base: Sequence[Run]) -> Cell:
    values = _collect_values(runs, metric)
    finite, others = _drop_nonfinite(values), _drop_nonfinite(_collect_values(base, metric))
    return Cell(
        metric,
        values,
        compute_mean_interval(list(finite.values())) if finite else None,
        compute_paired_difference(finite, others) if finite.keys() & others.keys() else None,
    )


def _collect_values(runs: Sequence[Run], metric: Metric) -> dict[int, float]:
    """Returns the values of a metric by seed; NaN for null and for runs that diverged."""
    values = {run.seed: run.result.get_metric(metric.name) for run in runs if run.result}
    return {seed: value for seed, value in sorted(values.items()) if value is not None}


def _drop_nonfinite(values: Values) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if math.isfinite(value)}


def _get_cost(runs: Sequence[Run], name: str) -> int | None:
    """Returns a cost that is the same for all seeds."""
    return next(map(int, _collect_costs(runs, name)), None)


def _collect_costs(runs: Sequence[Run], name: str) -> list[float]:
    """Collects a cost from the results that contain it."""
    costs = [run.result.cost.get(name) for run in runs if run.result]
    return [cost for cost in costs if cost is not None]


def _compute_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
