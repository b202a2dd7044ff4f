"""Charts of a report, one module per chart; the page and the pictures show the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from zoo.report.charts.chart import Axis, Chart, View
from zoo.report.charts.cost_chart import build_cost_chart
from zoo.report.charts.curve_chart import build_curve_chart
from zoo.report.charts.depth_chart import build_depth_chart
from zoo.report.charts.forest_plot import build_forest_plot
from zoo.report.charts.length_chart import build_length_chart
from zoo.report.charts.rate_chart import build_rate_chart
from zoo.report.charts.size_chart import build_size_chart
from zoo.report.claims.across_sizes import group_by_size
from zoo.report.claims.table import Table
from zoo.report.records.records import Run, Study

__all__ = ["Axis", "Chart", "View", "charts_of_sizes", "charts_of_task", "drawn_first", "numbered"]

DRAWN = 24  # number of arms shown at first; more could not be distinguished


def number_arms(study: Study) -> dict[str, int]:
    """Numbers the arms of a study; the number determines the color of an arm on the whole page."""
    return {arm: number for number, arm in enumerate(study.arms)}


def select_arms(study: Study, tables: Sequence[Table]) -> set[str]:
    """Selects the arms that charts show at first: the baseline and the best arms of each task."""
    best = [row.arm for rows in zip_longest(*(table.ranked for table in tables)) for row in rows if row]
    known = {row.arm for table in tables for row in table.rows if not row.not_applicable}
    order = dict.fromkeys(arm for arm in (study.baseline, *best, *study.arms) if arm in known)
    return set(list(order)[:DRAWN])


def build_task_charts(study: Study, table: Table, runs: Sequence[Run]) -> list[Chart]:
    """Builds all charts of a task, in the order of the report.

    Args:
        study: study that determines the order of the arms.
        table: table of the task.
        runs: runs of the task without stale results, those of the learning-rate sweep included.
    """
    arms = number_arms(study)
    judged = [run for run in runs if not run.tuning]
    drawn = (
        build_forest_plot(table, arms),
        build_curve_chart(table.task, arms, judged),
        build_cost_chart(table, arms, judged),
        build_rate_chart(table.task, arms, runs),
        build_length_chart(arms, judged),
        build_depth_chart(arms, judged),
    )
    return [chart for chart in drawn if chart is not None]


def build_size_charts(study: Study, tables: Sequence[Table]) -> Mapping[str, Chart]:
    """Builds the chart of differences across sizes for each task of several sizes."""
    drawn = {name: build_size_chart(members, number_arms(study)) for name, members in group_by_size(tables).items()}
    return {name: chart for name, chart in drawn.items() if chart is not None}
