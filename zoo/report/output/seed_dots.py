"""Strip plots of seeds: the geometry of the small drawings beside means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.report.charts import View
from zoo.report.claims.format import clip_interval, format_metric
from zoo.report.claims.table import Cell

WIDTH, HEIGHT, MARGIN = 120.0, 16.0, 5.0


@dataclass(frozen=True)
class Dot:
    """A seed at ``x`` pixels from the left."""

    x: float
    text: str


@dataclass(frozen=True)
class Strip:
    """Positions in pixels. An interval that runs off the strip is cut at its edge and has no cap there.

    Of a difference, ``zero`` is where there is none, and ``band`` the noise of what is compared with.
    """

    dots: tuple[Dot, ...]
    mean: float
    line: tuple[float, float] | None
    caps: tuple[float, ...]
    zero: float | None = None
    band: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """Text alternative of the drawing."""
        return "; ".join(dot.text for dot in self.dots)


def build_strips(cells: Sequence[Cell]) -> list[Strip | None]:
    """Builds a strip for each cell of a column, on one scale; None for cells without a finite value."""
    if not any(cell.interval for cell in cells):
        return [None] * len(cells)
    low, high = _compute_domain(cells)
    scale = (WIDTH - 2 * MARGIN) / (high - low)
    return [_build_strip(cell, low, scale) for cell in cells]


def _compute_domain(cells: Iterable[Cell]) -> tuple[float, float]:
    """Computes the range of the scale: all seeds, plus the intervals up to once that range per side."""
    listed = list(cells)
    values = [value for cell in listed for value in cell.values.values() if math.isfinite(value)]
    known = [(cell.metric, cell.interval) for cell in listed if cell.interval and cell.interval.known]
    ends = [end for metric, interval in known for end in clip_interval(metric, interval)]
    low, high = min(values), max(values)
    span = high - low
    low, high = min(low, max([low - span, min([low, *ends])])), max(high, min([high + span, max([high, *ends])]))
    return (low, high) if high > low else (low - (abs(low) or 1.0) / 100, high + (abs(high) or 1.0) / 100)


def _build_strip(cell: Cell, low: float, scale: float) -> Strip | None:
    if cell.interval is None:
        return None

    def x(value: float) -> float:
        return round(MARGIN + (value - low) * scale, 1)

    finite = {seed: value for seed, value in cell.values.items() if math.isfinite(value)}
    dots = tuple(Dot(x(value), f"seed {seed}: {format_metric(cell.metric, value)}") for seed, value in finite.items())
    if not cell.interval.known:
        return Strip(dots, x(cell.interval.mean), None, ())
    ends = [x(end) for end in clip_interval(cell.metric, cell.interval)]
    caps = tuple(end for end in ends if 0 <= end <= WIDTH)
    return Strip(dots, x(cell.interval.mean), (max(0.0, ends[0]), min(WIDTH, ends[1])), caps)


def build_difference_strips(view: View) -> dict[str, Strip]:
    """Builds a strip per arm from the data of the forest plot, on one scale, over the noise and zero."""
    rows = [dict(zip(view.columns, values, strict=True)) for values in zip(*view.columns.values(), strict=True)]
    ends = ("low", "high", "below", "above", "mean")
    told: list[float | None] = [v for row in rows for v in (*(row[end] for end in ends), *row["gaps"], 0.0)]
    known = [value for value in told if value is not None and math.isfinite(value)]
    low, high = min(known), max(known)
    scale = (WIDTH - 2 * MARGIN) / ((high - low) or 1.0)

    def x(value: float) -> float:
        return round(MARGIN + (value - low) * scale, 1)

    def between(row: Mapping[str, Any], *ends: str) -> tuple[float, float] | None:
        start, end = (row[name] for name in ends)
        return (x(start), x(end)) if _is_finite(start) and _is_finite(end) else None

    return {
        row["arm"]: Strip(
            tuple(Dot(x(gap), f"{gap:+.3g}") for gap in row["gaps"]),
            x(row["mean"]),
            between(row, "low", "high"),
            tuple(x(row[end]) for end, true in (("low", "lowest"), ("high", "highest")) if row[end] == row[true]),
            x(0.0),
            between(row, "below", "above"),
        )
        for row in reversed(rows)  # an arm's own difference comes before what it brings beyond others
    }


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
