"""Pictures of the results, as SVG files that need nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from experiments.speed.outcome import Row
from zoo.report.charts.style import COLORS, SHAPES, VEGA_LITE, get_theme, resolve_colors

WIDTH = 420


def write_charts(folder: Path, rows: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """Writes a picture of each measure that has one, and returns its file name by measure."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, taken in rows.items():
        chart = build_relative_chart(taken)
        if chart is not None:
            theme = {**get_theme("circle"), "background": "white"}
            spec: dict[str, Any] = resolve_colors({**chart, "config": theme})
            (folder / f"{name}.svg").write_text(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE), encoding="utf8")
            written[name] = f"{name}.svg"
    return written


def build_relative_chart(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Builds a chart of times by that of the first side of each case; None if no case has two sides."""
    values = []
    for case in dict.fromkeys(row.case for row in rows):
        timed = [row for row in rows if row.case == case and row.seconds]
        for row in timed if len(timed) > 1 else []:
            ratio = statistics.median(row.seconds) / statistics.median(timed[0].seconds)
            values.append({"case": case, "side": row.side, "ratio": ratio, "first": timed[0].side})
    if not values:
        return None
    sides = list(dict.fromkeys(str(value["side"]) for value in values))
    colors = [f"var(--c{number % COLORS})" for number in range(len(sides))]
    shapes = [SHAPES[number // COLORS % len(SHAPES)] for number in range(len(sides))]
    first = " or ".join(dict.fromkeys(str(value["first"]) for value in values))
    points = (
        alt.Chart(alt.InlineData(values), width=WIDTH, height=alt.Step(26))
        .mark_point(filled=True, size=90, opacity=0.85)
        .encode(
            x=alt.X("ratio:Q", title=f"time by that of {first}", scale=alt.Scale(zero=False, nice=True)),
            y=alt.Y("case:N", title=None, sort=None, axis=alt.Axis(labelLimit=260, grid=True)),
            color=alt.Color("side:N", title=None, scale=alt.Scale(domain=sides, range=colors)),
            shape=alt.Shape("side:N", title=None, scale=alt.Scale(domain=sides, range=shapes)),
        )
    )
    rule = alt.Chart(alt.InlineData([{"one": 1}])).mark_rule(strokeDash=[4, 3]).encode(x="one:Q")
    return dict(alt.layer(rule, points).to_dict(validate=False))
