"""Charts as pictures: specifications that hold their data and light colours, for reports that cannot be clicked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo.report.charts import DRAWN, Chart, charts_of_sizes, charts_of_task, drawn_first
from zoo.report.charts.style import lit, theme
from zoo.report.claims.table import Table
from zoo.report.records.records import Run, Study, drop_stale_results
from zoo.system.terminal import escape_controls

WIDTH = 700
_COSTS = {"parameters": "parameters", "flops": "training FLOPs per token"}


@dataclass(frozen=True)
class Picture:
    """One drawing. ``name`` is unique in a report and safe in that of a file; ``spec`` is whole Vega-Lite."""

    name: str
    task: str
    title: str
    caption: str
    spec: dict[str, Any]


def pictures(study: Study, runs: Sequence[Run], tables: Sequence[Table]) -> list[Picture]:
    """What of the page's charts stands in a written report: the first choice of each, the main costs, all depths.

    Of many arms, those that the page begins with.
    """
    first = drawn_first(study, tables)
    tables = [replace(table, rows=tuple(row for row in table.rows if row.arm in first)) for table in tables]
    shown = [run for run in drop_stale_results(runs) if run.arm in first]
    drawn: list[Picture] = []
    for number, table in enumerate(tables, 1):
        members = [run for run in shown if run.task == table.task.name]
        prefix = _prefix(number, table.task.name) if len(tables) > 1 else ""
        for chart in charts_of_task(study, table, members):
            drawn += _of_chart(chart, prefix, table.task.name)
    for number, (task, chart) in enumerate(charts_of_sizes(study, tables).items(), 1):
        drawn += _of_chart(chart, _prefix(number, task), task)
    if len(first) < len(study.arms) and len(first) == DRAWN:
        note = f" The {DRAWN} best of {len(study.arms)} arms, the baseline among them."
        drawn = [replace(picture, caption=picture.caption + note) for picture in drawn]
    return drawn


def _prefix(number: int, task: str) -> str:
    plain = _slug(task)[:40]
    return f"{number}-{plain}-" if plain else f"{number}-"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _of_chart(chart: Chart, prefix: str, task: str) -> Iterator[Picture]:
    choices = {"": (0, 0)}
    if chart.name == "costs":
        places = {axis.label: place for place, axis in enumerate(chart.axes)}
        choices = {f"-{name}": (0, places[label]) for name, label in _COSTS.items() if label in places}
    if chart.name == "depths":
        choices = {f"-{_slug(view.label)}": (place, 0) for place, view in enumerate(chart.views)}
    for ending, (view, axis) in choices.items():
        yield Picture(f"{prefix}{chart.name}{ending}", task, chart.title, chart.caption, _spec(chart, view, axis))


def _escaped(value: Any) -> Any:
    """With the control characters of names escaped, which the renderer does not take."""
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return escape_controls(value) if isinstance(value, str) else value


def _spec(chart: Chart, view: int, axis: int) -> dict[str, Any]:
    """The chart with its data, theme and legend; as wide as a written report is."""
    config = theme(chart.legend)
    config["legend"]["columns"] = max(1, WIDTH // (8 * max(map(len, chart.arms)) + 50))
    spec: dict[str, Any] = _escaped(lit({**chart.filled(view, axis), "config": config}))
    return {**spec, "width": WIDTH, "background": "white", "autosize": "pad"}
