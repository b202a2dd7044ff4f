"""The charts of a report, one module a chart: the page and the pictures draw the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from zoo.report.charts.chart import Axis, Chart, View
from zoo.report.charts.cost_chart import costs
from zoo.report.charts.curve_chart import curves
from zoo.report.charts.depth_chart import depths
from zoo.report.charts.forest_plot import forest
from zoo.report.charts.length_chart import lengths
from zoo.report.charts.rate_chart import rates
from zoo.report.charts.size_chart import sizes
from zoo.report.claims.across_sizes import group_by_size
from zoo.report.claims.table import Table
from zoo.report.records.records import Run, Study

__all__ = ["Axis", "Chart", "View", "charts_of_sizes", "charts_of_task", "drawn_first", "numbered"]

DRAWN = 24  # arms at first; a reader cannot tell more apart


def numbered(study: Study) -> dict[str, int]:
    """Number of each arm, which decides its colour on the whole page."""
    return {arm: number for number, arm in enumerate(study.arms)}


def drawn_first(study: Study, tables: Sequence[Table]) -> set[str]:
    """Arms that charts begin with: the baseline and the best of each task."""
    best = [row.arm for rows in zip_longest(*(table.ranked for table in tables)) for row in rows if row]
    known = {row.arm for table in tables for row in table.rows if not row.not_applicable}
    order = dict.fromkeys(arm for arm in (study.baseline, *best, *study.arms) if arm in known)
    return set(list(order)[:DRAWN])


def charts_of_task(study: Study, table: Table, runs: Sequence[Run]) -> list[Chart]:
    """All that there is to draw of one task, in the order of the report.

    Args:
        study: tells the order of its arms.
        table: of the task.
        runs: of the task, up to date, those that served the choice of a learning rate included.
    """
    arms = numbered(study)
    judged = [run for run in runs if not run.tuning]
    drawn = (
        forest(table, arms),
        curves(table.task, arms, judged),
        costs(table, arms, judged),
        rates(table.task, arms, runs),
        lengths(arms, judged),
        depths(arms, judged),
    )
    return [chart for chart in drawn if chart is not None]


def charts_of_sizes(study: Study, tables: Sequence[Table]) -> Mapping[str, Chart]:
    """By the name of a task that was run at several sizes, whether differences survive."""
    drawn = {name: sizes(members, numbered(study)) for name, members in group_by_size(tables).items()}
    return {name: chart for name, chart in drawn.items() if chart is not None}
