"""The learning rate of an arm, chosen from runs that serve only this choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from zoo.checks import require
from zoo.report import Metric
from zoo.report.claims.saturation import find_saturated_end
from zoo.report.records.metrics import SENSITIVE_METRICS
from zoo.study.cells.outcomes import ReadOutcome
from zoo.study.plan.cell import Cell, Setting
from zoo.study.plan.study_plan import StudyPlan
from zoo.study.plan.tasks import TaskPlan
from zoo.training.run import run_folder


@dataclass(frozen=True)
class ChosenRate:
    """A learning rate, or None for that of the config, and a remark on the choice for readers of the report."""

    rate: float | None
    note: str = ""


def list_tuning_cells(plan: StudyPlan, setting: Setting) -> dict[float, list[Cell]]:
    """Lists the runs that try learning rates for an arm on a task, by learning rate."""
    if plan.rates is None:
        return {}
    seeds = [seed for seed in plan.rates.seeds if seed not in setting.left_out]
    return {rate: [setting.build_cell(seed, rate, tuning=True) for seed in seeds] for rate in plan.rates.values}


def choose_arm_rate(
    arm: str, task: TaskPlan, tries: Mapping[float, Sequence[Cell]], read_outcome: ReadOutcome
) -> ChosenRate | None:
    """Chooses the learning rate of an arm on a task; returns None until all runs that try one have ended.

    Where the first metric is at its floor or ceiling at all rates, the next metric that is not decides.

    Args:
        arm: Name of the arm, for the remark.
        task: Task with its metrics.
        tries: Runs by learning rate; empty if the study chooses none.
        read_outcome: Outcome of a run by the first metric of the task.
    """
    if not tries:
        return ChosenRate(None)
    values: dict[float, list[float]] = {rate: [] for rate in tries}
    for rate, cells in tries.items():
        for outcome in map(read_outcome, cells):
            if outcome is None:
                return None
            values[rate].append(math.nan if outcome == "lost" else outcome)
    metric = Metric.from_name(task.metrics[0])
    end = find_saturated_end(metric, values.values())
    others = map(Metric.from_name, (*task.metrics[1:], *SENSITIVE_METRICS)) if end else ()
    for other in others:
        found = _read_values_by_rate(tries, other)
        if found and find_saturated_end(other, found.values()) is None:
            chosen = choose_rate(arm, found, other)
            where = "the same" if end == "same" else f"at its {end}"
            note = f"The learning rate of {arm} was chosen by {other.label}: {metric.label} is {where} at all rates."
            return replace(chosen, note=f"{note} {chosen.note}".strip())
    return choose_rate(arm, values, metric)


def choose_rate(arm: str, tried: Mapping[float, Sequence[float]], metric: Metric) -> ChosenRate:
    """Chooses the rate with the fewest runs without a finite value, then with the best mean, then the smallest.

    Args:
        arm: Name of the arm, for the remark.
        tried: Values of the metric by learning rate; non-finite for runs that diverged or failed.
        metric: Metric that decides.

    Raises:
        Refused: If it is unknown whether higher or lower values of the metric are better.
    """
    require(metric.goal is not None, f"learning_rates: a metric must tell which way is better: got {metric.name}")
    sign = 1 if metric.goal == "lower" else -1

    def order(rate: float) -> tuple[int, float, float]:
        finite = [value for value in tried[rate] if math.isfinite(value)]
        return len(tried[rate]) - len(finite), sign * fmean(finite) if finite else math.inf, rate

    rates = sorted(tried)
    rate = min(rates, key=order)
    if not any(map(math.isfinite, tried[rate])):
        listed = ", ".join(f"{each:g}" for each in rates)
        note = f"No run of {arm} at the learning rates {listed} has a value: its other runs use {rate:g}."
        return ChosenRate(rate, note)
    ends = {rates[0]: "smallest", rates[-1]: "largest"} if len(rates) > 1 else {}
    return ChosenRate(
        rate, f"The best learning rate of {arm}, {rate:g}, is the {ends[rate]} tried." if rate in ends else ""
    )


def _read_values_by_rate(tries: Mapping[float, Sequence[Cell]], metric: Metric) -> dict[float, list[float]]:
    """Reads another metric of runs that have ended, by learning rate; empty if a result lacks it."""
    found: dict[float, list[float]] = {}
    for rate, cells in tries.items():
        for cell in cells:
            result = run_folder(cell.checked).read_result()
            value = math.nan if result is None else result.get_metric(metric.name)
            if value is None:
                return {}
            found.setdefault(rate, []).append(value)
    return found
