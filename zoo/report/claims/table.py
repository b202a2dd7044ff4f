"""The table of a task: one row an arm, computed once, shown by the terminal, the page and the written report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.checks import Refused, suggest
from zoo.report.claims.arm_rows import Cell, Row, row_of
from zoo.report.claims.saturation import Saturation, replace_saturated
from zoo.report.records.comparability import restrict_comparison
from zoo.report.records.contrasts import Family, compare_arms, find_references
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run, Study, Task, drop_stale_results
from zoo.statistics import Comparison

__all__ = ["Cell", "Row", "Table", "build_tables"]


@dataclass(frozen=True)
class Table:
    """The rows of one task, in the order of the study's arms.

    ``family`` compares them by the first metric, each with the baseline or the arm that the study says; None where
    there is no result to compare with, nothing is comparable, or the metric's goal is not known. If the first metric of
    the study is ``saturated``, another one that tells the arms apart stands first in ``task`` and ``metrics``.
    """

    task: Task
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    family: Family | None = None
    saturated: Saturation | None = None

    @property
    def baseline(self) -> Row | None:
        """The row that others are compared with, unless they say otherwise."""
        return next((row for row in self.rows if row.baseline), None)

    @property
    def others(self) -> tuple[str, ...]:
        """Arms that others are compared with, in order."""
        against = {row.against for row in self.rows}
        return tuple(row.arm for row in self.rows if row.arm in against)

    def get_comparison(self, row: Row) -> Comparison | None:
        """The row against the arm it is compared with; None where there is none."""
        return self.family.comparisons.get(row.arm) if self.family else None

    @property
    def ranked(self) -> list[Row]:
        """Rows with a value of the first metric, best first; as they stand where no goal is known."""
        rows = [row for row in self.rows if row.cells and row.cells[0].interval]
        sign = {"lower": 1, "higher": -1, None: 0}[self.metrics[0].goal] if self.metrics else 0
        return sorted(rows, key=lambda row: sign * row.cells[0].interval.mean if row.cells[0].interval else 0.0)


def build_tables(study: Study, runs: Sequence[Run]) -> list[Table]:
    """One table a task. Runs that served the choice of a learning rate are in none.

    Raises:
        Refused: if a run, the baseline, or what an arm is compared with, names an arm or task that the study lacks.
    """
    _refuse_strangers(study, runs)
    judged = [run for run in drop_stale_results(runs) if not run.tuning]
    return [_table(study, task, [run for run in judged if run.task == task.name]) for task in study.tasks]


def _refuse_strangers(study: Study, runs: Sequence[Run]) -> None:
    tasks = {task.name for task in study.tasks}
    for run in runs:
        if run.arm not in study.arms:
            raise Refused(f"unknown arm {run.arm!r} in {run.folder}; {suggest(run.arm, study.arms)}")
        if run.task not in tasks:
            raise Refused(f"unknown task {run.task!r} in {run.folder}; {suggest(run.task, tasks)}")
    if study.baseline is not None and study.baseline not in study.arms:
        raise Refused(f"unknown baseline {study.baseline!r}; {suggest(study.baseline, study.arms)}")
    for arm, other in study.against.items():
        if other not in study.arms:
            raise Refused(f"unknown arm that {arm} is compared with: {other!r}; {suggest(other, study.arms)}")


def _table(study: Study, task: Task, runs: Sequence[Run]) -> Table:
    task, saturated = replace_saturated(restrict_comparison(task, runs), runs)
    metrics = tuple(Metric.from_name(name) for name in task.metrics)
    not_applicable = {arm for arm, where, _ in study.not_applicable if where == task.name}
    of_arm: dict[str, list[Run]] = {arm: [] for arm in study.arms}
    for run in runs:
        of_arm[run.arm].append(run)
    shown = [arm for arm, members in of_arm.items() if members or arm in not_applicable]
    applied = [arm for arm in shown if arm not in not_applicable]
    others = find_references(study.baseline, study.against, applied) if task.comparable else {}
    rows = {
        arm: row_of(
            study, task.name, arm, of_arm[arm], metrics, others.get(arm, ""), of_arm.get(others.get(arm, ""), [])
        )
        for arm in shown
    }
    values = {arm: rows[arm].outcomes for arm in applied}
    if study.until_decided:
        values = {arm: _in_order(outcomes, of_arm[arm]) for arm, outcomes in values.items()}
    return Table(task, metrics, tuple(rows.values()), compare_arms(study, task, values) if metrics else None, saturated)


def _in_order(outcomes: dict[int, float], runs: Sequence[Run]) -> dict[int, float]:
    """Outcomes up to the first seed that has not ended, so that what they decide does not change with what follows."""
    waiting = min((run.seed for run in runs if run.result is None and run.failure is None), default=None)
    return {seed: value for seed, value in outcomes.items() if waiting is None or seed < waiting}
