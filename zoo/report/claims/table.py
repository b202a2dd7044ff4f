"""Tables of a study: one per task with a row per arm, which all forms of a report show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.checks import Refused, suggest
from zoo.report.claims.arm_rows import Cell, Row, build_row
from zoo.report.claims.saturation import Saturation, replace_saturated
from zoo.report.records.comparability import restrict_comparison
from zoo.report.records.contrasts import Family, compare_arms, find_references
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run, Study, Task, drop_stale_results
from zoo.statistics import Comparison

__all__ = ["Cell", "Row", "Table", "build_tables"]


@dataclass(frozen=True)
class Table:
    """Table of a task, with rows in the order of the study's arms.

    Attributes:
        task: the task; if its primary metric is saturated, another one comes first.
        metrics: metrics of the task, the primary one first.
        rows: a row for each arm.
        family: comparisons of the arms with their references; None if there is no result to compare with, the arms are
            not comparable, or it is not known whether lower or higher is better.
        saturated: saturation of the primary metric of the study; None if it is not saturated.
    """

    task: Task
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    family: Family | None = None
    saturated: Saturation | None = None

    @property
    def baseline(self) -> Row | None:
        """Row of the baseline; None if there is none."""
        return next((row for row in self.rows if row.baseline), None)

    @property
    def others(self) -> tuple[str, ...]:
        """Arms that serve as references, in the order of the rows."""
        against = {row.against for row in self.rows}
        return tuple(row.arm for row in self.rows if row.arm in against)

    def get_comparison(self, row: Row) -> Comparison | None:
        """Returns the comparison of a row with its reference; None if there is none."""
        return self.family.comparisons.get(row.arm) if self.family else None

    @property
    def ranked(self) -> list[Row]:
        """Rows with a value of the primary metric, best first; in table order if the metric has no goal."""
        rows = [row for row in self.rows if row.cells and row.cells[0].interval]
        sign = {"lower": 1, "higher": -1, None: 0}[self.metrics[0].goal] if self.metrics else 0
        return sorted(rows, key=lambda row: sign * row.cells[0].interval.mean if row.cells[0].interval else 0.0)


def build_tables(study: Study, runs: Sequence[Run]) -> list[Table]:
    """Builds a table for each task. Runs for learning-rate tuning are left out.

    Raises:
        Refused: if a run, the baseline or a reference names an arm or task that the study does not have.
    """
    _require_known_names(study, runs)
    compared = [run for run in drop_stale_results(runs) if not run.tuning]
    return [_build_table(study, task, [run for run in compared if run.task == task.name]) for task in study.tasks]


def _require_known_names(study: Study, runs: Sequence[Run]) -> None:
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
            raise Refused(f"{arm}: unknown reference {other!r}; {suggest(other, study.arms)}")


def _build_table(study: Study, task: Task, runs: Sequence[Run]) -> Table:
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
        arm: build_row(
            study, task.name, arm, of_arm[arm], metrics, others.get(arm, ""), of_arm.get(others.get(arm, ""), [])
        )
        for arm in shown
    }
    values = {arm: rows[arm].outcomes for arm in applied}
    if study.until_decided:
        values = {arm: _cut_at_unfinished_seed(outcomes, of_arm[arm]) for arm, outcomes in values.items()}
    return Table(task, metrics, tuple(rows.values()), compare_arms(study, task, values) if metrics else None, saturated)


def _cut_at_unfinished_seed(outcomes: dict[int, float], runs: Sequence[Run]) -> dict[int, float]:
    """Returns outcomes up to the first unfinished seed, so that later results cannot change their verdict."""
    waiting = min((run.seed for run in runs if run.result is None and run.failure is None), default=None)
    return {seed: value for seed, value in outcomes.items() if waiting is None or seed < waiting}
