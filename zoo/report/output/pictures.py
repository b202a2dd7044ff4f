"""Static pictures of the charts: specifications with data and light colors, for the Markdown report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo.report.charts import DRAWN, Chart, build_size_charts, build_task_charts, select_arms
from zoo.report.charts.style import get_theme, resolve_colors
from zoo.report.claims.table import Table
from zoo.report.records.records import Run, Study, drop_stale_results
from zoo.system.terminal import escape_controls

WIDTH = 700
_COSTS = {"parameters": "parameters", "flops": "training FLOPs per token"}


@dataclass(frozen=True)
class Picture:
    """A picture; ``name`` is unique in a report and valid in file names, ``spec`` is a full Vega-Lite specification."""

    name: str
    task: str
    title: str
    caption: str
    spec: dict[str, Any]


def build_pictures(study: Study, runs: Sequence[Run], tables: Sequence[Table]) -> list[Picture]:
    """Builds the pictures of the Markdown report: the first view of each chart, the main costs and all depths.

    If there are many arms, they show those that the page shows at first.
    """
    first = select_arms(study, tables)
    tables = [replace(table, rows=tuple(row for row in table.rows if row.arm in first)) for table in tables]
    shown = [run for run in drop_stale_results(runs) if run.arm in first]
    drawn: list[Picture] = []
    for number, table in enumerate(tables, 1):
        members = [run for run in shown if run.task == table.task.name]
        prefix = _format_prefix(number, table.task.name) if len(tables) > 1 else ""
        for chart in build_task_charts(study, table, members):
            drawn += _build_chart_pictures(chart, prefix, table.task.name)
    for number, (task, chart) in enumerate(build_size_charts(study, tables).items(), 1):
        drawn += _build_chart_pictures(chart, _format_prefix(number, task), task)
    if len(first) < len(study.arms) and len(first) == DRAWN:
        note = f" The {DRAWN} best of {len(study.arms)} arms, the baseline among them."
        drawn = [replace(picture, caption=picture.caption + note) for picture in drawn]
    return drawn


def _format_prefix(number: int, task: str) -> str:
    plain = _slugify(task)[:40]
    return f"{number}-{plain}-" if plain else f"{number}-"


def _slugify(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _build_chart_pictures(chart: Chart, prefix: str, task: str) -> Iterator[Picture]:
    choices = {"": (0, 0)}
    if chart.name == "costs":
        places = {axis.label: place for place, axis in enumerate(chart.axes)}
        choices = {f"-{name}": (0, places[label]) for name, label in _COSTS.items() if label in places}
    if chart.name == "depths":
        choices = {f"-{_slugify(view.label)}": (place, 0) for place, view in enumerate(chart.views)}
    for ending, (view, axis) in choices.items():
        yield Picture(f"{prefix}{chart.name}{ending}", task, chart.title, chart.caption, _build_spec(chart, view, axis))


def _escape_names(value: Any) -> Any:
    """Escapes control characters in names, which the renderer does not accept."""
    if isinstance(value, Mapping):
        return {key: _escape_names(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escape_names(item) for item in value]
    return escape_controls(value) if isinstance(value, str) else value


def _build_spec(chart: Chart, view: int, axis: int) -> dict[str, Any]:
    """Builds the specification of a chart with data, theme and legend, at the width of the report."""
    theme = get_theme(chart.legend)
    theme["legend"]["columns"] = max(1, WIDTH // (8 * max(map(len, chart.arms)) + 50))
    spec: dict[str, Any] = _escape_names(resolve_colors({**chart.fill(view, axis), "config": theme}))
    return {**spec, "width": WIDTH, "background": "white", "autosize": "pad"}
