"""Interactive charts: a specification, the data that it can show, and the choices between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Column = Sequence[Any]
X, Y = "$x", "$y"  # in a specification, where the title of that axis goes


@dataclass(frozen=True)
class View:
    """Data to draw: columns of equal length, with names in ``arm``; ``x`` and ``y`` are titles of axes."""

    label: str
    columns: Mapping[str, Column]
    x: str = ""
    y: str = ""


@dataclass(frozen=True)
class Axis:
    """Mapping from the channels of a drawing to columns of a view, such as ``x`` to ``tokens``."""

    label: str
    columns: Mapping[str, str]
    x: str = ""


@dataclass(frozen=True)
class Chart:
    """Vega-Lite chart over the columns of a view.

    Attributes:
        name: kind of the chart, as in file names.
        title: title above the chart.
        caption: caption below the chart.
        arms: arms in the chart, with their numbers in the study.
        spec: Vega-Lite specification without data; :data:`X` and :data:`Y` stand for the titles of axes.
        views: choices of the first selector.
        axes: choices of the second selector.
        choosers: labels of the selectors.
        legend: symbol of an arm in the legend; empty if the chart itself names the arms.
        row: height of a row of data in pixels; 0 if the height is in ``spec``.
    """

    name: str
    title: str
    caption: str
    arms: Mapping[str, int]
    spec: Mapping[str, Any]
    views: tuple[View, ...]
    axes: tuple[Axis, ...] = (Axis("", {}),)
    choosers: tuple[str, str] = ("Metric", "over")
    legend: str = "stroke"
    row: int = 0

    def to_json(self) -> dict[str, Any]:
        """Returns the chart as JSON types. Equal columns are stored once, as many metrics share their steps."""
        pool: dict[tuple[Any, ...], int] = {}
        order = {arm: place for place, arm in enumerate(self.arms)}

        def pooled(name: str, column: Column) -> int:
            kept = (order[arm] for arm in column) if name == "arm" else map(_to_json_number, column)
            return pool.setdefault((name == "arm", *kept), len(pool))

        views = [
            {"x": view.x, "y": view.y, "columns": {name: pooled(name, one) for name, one in view.columns.items()}}
            for view in self.views
        ]
        axes = [{"x": axis.x, "columns": dict(axis.columns)} for axis in self.axes]
        columns = [column[1:] for column in pool]
        told = {"spec": self.spec, "row": self.row, "arms": list(self.arms)}
        return {**told, "views": views, "axes": axes, "columns": columns}

    def fill(self, view: int = 0, axis: int = 0) -> dict[str, Any]:
        """Returns the specification with the data of one choice, as the script of the page builds it."""
        shown, read = self.views[view], self.axes[axis]
        columns = {name: list(map(_to_json_number, column)) for name, column in shown.columns.items()}
        columns |= {channel: columns[name] for channel, name in read.columns.items()}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        titles = {X: read.x or shown.x, Y: shown.y}
        spec: dict[str, Any] = _set_titles(self.spec, titles)
        height = {"height": self.row * len(rows)} if self.row else {}
        return {**spec, **height, "data": {"name": "rows", "values": rows}}


def _set_titles(value: Any, titles: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _set_titles(item, titles, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_set_titles(item, titles) for item in value]
    return titles[value] if key in ("title", "value") and isinstance(value, str) and value in titles else value


def _to_json_number(value: Any) -> Any:
    """Rounds a number to five digits; None if it is not finite."""
    if isinstance(value, list | tuple):
        return tuple(map(_to_json_number, value))
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.5g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
