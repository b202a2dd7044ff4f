"""The table of a task: one row an arm, computed once, shown by the terminal and by the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.checks import require, suggest
from zoo.report.configs import flatten, shown
from zoo.report.metrics import Metric
from zoo.report.records import Run, Study, Task
from zoo.statistics import Comparison, Family, Interval, compare, mean_interval, paired_difference


@dataclass(frozen=True)
class Cell:
    """One metric of one arm.

    ``values`` are by seed, NaN for a run that diverged; ``interval`` is over the finite ones, None if there is none.
    ``difference`` is to the baseline, paired by seed; None for the baseline itself and where nothing is comparable.
    """

    metric: Metric
    values: Mapping[int, float]
    interval: Interval | None
    difference: Interval | None = None


@dataclass(frozen=True)
class Row:
    """One arm on one task. Costs are None until a run has told them; ``flops_per_token`` is of training."""

    arm: str
    baseline: bool
    overrides: Mapping[str, str]
    parameters: int | None
    flops_per_token: int | None
    tokens: int | None
    tokens_per_second: Interval | None
    cells: tuple[Cell, ...]
    planned: int
    done: int
    failed: int
    diverged: int
    not_applicable: str = ""

    @property
    def unfinished(self) -> int:
        """Seeds that neither finished nor failed."""
        return self.planned - self.done - self.failed


@dataclass(frozen=True)
class Table:
    """The rows of one task, in the order of the study's arms.

    ``family`` compares them with the baseline by the first metric; None where there is no baseline with a result,
    nothing is comparable, or the metric's goal is not known.
    """

    task: Task
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    family: Family | None = None

    @property
    def baseline(self) -> Row | None:
        """The row that others are compared with."""
        return next((row for row in self.rows if row.baseline), None)

    def compared(self, row: Row) -> Comparison | None:
        """The row against the baseline; None for the baseline itself and where nothing is compared."""
        return self.family.comparisons.get(row.arm) if self.family else None

    @property
    def ranked(self) -> list[Row]:
        """Rows with a value of the first metric, best first; as they stand where no goal is known."""
        rows = [row for row in self.rows if row.cells and row.cells[0].interval]
        sign = {"lower": 1, "higher": -1, None: 0}[self.metrics[0].goal] if self.metrics else 0
        return sorted(rows, key=lambda row: sign * row.cells[0].interval.mean if row.cells[0].interval else 0.0)


def summary(study: Study, runs: Sequence[Run]) -> list[Table]:
    """One table a task.

    Raises:
        Refused: if a run, or the baseline, names an arm or task that the study does not have.
    """
    tasks = [task.name for task in study.tasks]
    for run in runs:
        require(run.arm in study.arms, f"unknown arm {run.arm!r} in {run.folder}; {suggest(run.arm, study.arms)}")
        require(run.task in tasks, f"unknown task {run.task!r} in {run.folder}; {suggest(run.task, tasks)}")
    known = study.baseline is None or study.baseline in study.arms
    require(known, f"unknown baseline {study.baseline!r}; {suggest(str(study.baseline), study.arms)}")
    return [_table(study, task, [run for run in runs if run.task == task.name]) for task in study.tasks]


def _table(study: Study, task: Task, runs: Sequence[Run]) -> Table:
    metrics = tuple(Metric.named(name) for name in task.metrics)
    reasons = {arm: reason for arm, where, reason in study.not_applicable if where == task.name}
    of_arm: dict[str, list[Run]] = {arm: [] for arm in study.arms}
    for run in runs:
        of_arm[run.arm].append(run)
    compared = of_arm[study.baseline] if study.baseline and task.comparable else []
    base = {metric.name: _finite(_values(compared, metric)) for metric in metrics}
    rows = tuple(
        _row(study, arm, members, metrics, {} if arm == study.baseline else base, reasons.get(arm, ""))
        for arm, members in of_arm.items()
        if members or arm in reasons
    )
    return Table(task, metrics, rows, _family(task, rows) if study.baseline and task.comparable and metrics else None)


def _family(task: Task, rows: Sequence[Row]) -> Family | None:
    """All arms against the baseline by the first metric. A seed that diverged in any metric is lost for this one."""
    values = {row.arm: _with_lost(row) for row in rows if row.cells and not row.not_applicable}
    baseline = next((values.pop(row.arm) for row in rows if row.baseline and row.arm in values), {})
    metric = Metric.named(task.metrics[0])
    if not baseline or not values or metric.goal is None:
        return None
    margin = None if task.margin is None else task.margin / (100 if metric.percent else 1)
    return compare(values, baseline, higher_is_better=metric.goal == "higher", margin=margin)


def _with_lost(row: Row) -> dict[int, float]:
    lost = {seed for cell in row.cells for seed, value in cell.values.items() if not math.isfinite(value)}
    return {**row.cells[0].values, **dict.fromkeys(sorted(lost), math.nan)}


def _row(
    study: Study,
    arm: str,
    runs: Sequence[Run],
    metrics: Sequence[Metric],
    base: Mapping[str, Mapping[int, float]],
    reason: str,
) -> Row:
    cells = tuple(_cell(runs, metric, base.get(metric.name, {})) for metric in metrics)
    speed = _finite(_values(runs, Metric.named("tokens_per_second")))
    return Row(
        arm=arm,
        baseline=arm == study.baseline,
        overrides={key: shown(value) for key, value in flatten(study.arms[arm]).items()},
        parameters=_cost(runs, "parameters"),
        flops_per_token=_cost(runs, "flops_per_token"),
        tokens=next((int(run.result["tokens"]) for run in runs if run.result and run.result.get("tokens")), None),
        tokens_per_second=mean_interval(list(speed.values())) if speed else None,
        cells=cells,
        planned=len(runs),
        done=sum(run.result is not None for run in runs),
        failed=sum(run.failure is not None for run in runs),
        diverged=len({seed for cell in cells for seed, value in cell.values.items() if not math.isfinite(value)}),
        not_applicable=reason,
    )


def _cell(runs: Sequence[Run], metric: Metric, base: Mapping[int, float]) -> Cell:
    values = _values(runs, metric)
    finite = _finite(values)
    return Cell(
        metric,
        values,
        mean_interval(list(finite.values())) if finite else None,
        paired_difference(finite, base) if finite.keys() & base.keys() else None,
    )


def _values(runs: Sequence[Run], metric: Metric) -> dict[int, float]:
    """The metric by seed, of the runs that report it; null is NaN."""
    told = {run.seed: _metrics(run) for run in runs if metric.name in _metrics(run)}
    return {seed: _number(metrics[metric.name]) for seed, metrics in sorted(told.items())}


def _metrics(run: Run) -> Mapping[str, Any]:
    return (run.result or {}).get("metrics") or {}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _finite(values: Mapping[int, float]) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if math.isfinite(value)}


def _cost(runs: Sequence[Run], name: str) -> int | None:
    costs = ((run.result.get("cost") or {}).get(name) for run in runs if run.result)
    return next((int(cost) for cost in costs if cost is not None), None)
