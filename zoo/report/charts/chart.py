"""What a chart is before anybody chose anything: a drawing, the data it may show, and the choices between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Column = Sequence[Any]
X, Y = "$x", "$y"  # in a specification, where the title of that axis goes


@dataclass(frozen=True)
class View:
    """Data to draw: columns of equal length; ``arm`` holds names. ``x`` and ``y`` are titles of axes."""

    label: str
    columns: Mapping[str, Column]
    x: str = ""
    y: str = ""


@dataclass(frozen=True)
class Axis:
    """Which columns of a view stand for what the drawing reads, such as ``x`` for ``tokens``."""

    label: str
    columns: Mapping[str, str]
    x: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing in Vega-Lite over the columns of a view.

    Attributes:
        name: what kind it is, as in names of files.
        title: above it.
        caption: how to read it.
        arms: shown, with their numbers in the study.
        spec: Vega-Lite without data; :data:`X` and :data:`Y` stand for the titles of axes.
        views: what the first chooser offers.
        axes: what the second offers.
        choosers: what the two are called.
        legend: how a legend shows an arm; empty if the drawing itself names them.
        row: pixels that each row of data makes the drawing higher; 0 if its height is in ``spec``.
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

    def embedded(self) -> dict[str, Any]:
        """All of it as JSON has it. Columns that are equal are there once: many metrics share their steps."""
        pool: dict[tuple[Any, ...], int] = {}
        order = {arm: place for place, arm in enumerate(self.arms)}

        def pooled(name: str, column: Column) -> int:
            kept = (order[arm] for arm in column) if name == "arm" else map(_plain, column)
            return pool.setdefault((name == "arm", *kept), len(pool))

        views = [
            {"x": view.x, "y": view.y, "columns": {name: pooled(name, one) for name, one in view.columns.items()}}
            for view in self.views
        ]
        axes = [{"x": axis.x, "columns": dict(axis.columns)} for axis in self.axes]
        columns = [column[1:] for column in pool]
        told = {"spec": self.spec, "row": self.row, "arms": list(self.arms)}
        return {**told, "views": views, "axes": axes, "columns": columns}

    def filled(self, view: int = 0, axis: int = 0) -> dict[str, Any]:
        """The specification of one choice, with its data: what the page's script makes of ``embedded``."""
        shown, read = self.views[view], self.axes[axis]
        columns = {name: list(map(_plain, column)) for name, column in shown.columns.items()}
        columns |= {channel: columns[name] for channel, name in read.columns.items()}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        titles = {X: read.x or shown.x, Y: shown.y}
        spec: dict[str, Any] = _titled(self.spec, titles)
        height = {"height": self.row * len(rows)} if self.row else {}
        return {**spec, **height, "data": {"name": "rows", "values": rows}}


def _titled(value: Any, titles: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _titled(item, titles, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_titled(item, titles) for item in value]
    return titles[value] if key in ("title", "value") and isinstance(value, str) and value in titles else value


def _plain(value: Any) -> Any:
    """A number in five digits; null where it is not finite."""
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.5g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
