"""Line charts with a line per arm and a band around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from zoo.report.charts.chart import X, Y
from zoo.report.charts.style import NUMBER, ROW, TICK, encode_color, encode_dash

HEIGHT = 300
_FADED = "!hover.arm || hover.arm[0] === datum.arm"
_RANGE = f"format({ROW}.low, '{NUMBER}') + ' to ' + format({ROW}.high, '{NUMBER}')"
_TIP = (
    f"{{arm: {ROW}.arm, at: format({ROW}.x, ',.5~g') + ' ' + over, "
    f"mean: isValid({ROW}.mean) ? format({ROW}.mean, '{NUMBER}') : 'not finite', "
    f"seeds: {ROW}.seeds + ({ROW}.low < {ROW}.high ? ', ' + {_RANGE} : '')}}"
)


def encode_x(scale: alt.Scale | None = None) -> alt.X:
    """Encodes the column ``x`` on the horizontal axis."""
    axis = alt.Axis(grid=False, tickCount=6, labelExpr=TICK, title=X)
    return alt.X("x:Q", axis=axis, scale=alt.Undefined if scale is None else scale)


def encode_y(column: str = "mean", scale: alt.Scale | None = None) -> alt.Y:
    """Encodes a column on the vertical axis."""
    axis = alt.Axis(tickCount=6, labelExpr=TICK, title=Y)
    return alt.Y(f"{column}:Q", axis=axis, scale=alt.Scale(zero=False) if scale is None else scale)


def build_line_spec(
    arms: Mapping[str, int],
    x: alt.X,
    scale: alt.Scale | None = None,
    *,
    pointed: bool = False,
    marks: Sequence[alt.Chart] = (),
) -> dict[str, Any]:
    """Builds a specification with band, line and points over columns ``arm, x, mean, low, high, seeds``.

    Points with ``lone`` set are always visible, as no line passes through them.

    Args:
        arms: arms in the chart, with their numbers.
        x: horizontal axis.
        scale: scale of the vertical axis; by default it need not start at 0.
        pointed: if True, all points are visible, not only the one nearest to the pointer.
        marks: further layers on top.
    """
    hover = alt.selection_point(name="hover", fields=["arm", "x"], nearest=True, on="pointerover", empty=False)
    base = alt.Chart(alt.NamedData("rows")).encode(x=x, y=encode_y(scale=scale), color=encode_color(arms))
    band = base.mark_area(opacity=min(0.15, 2 / len(arms)), clip=True).encode(y=encode_y("low", scale), y2="high:Q")
    line = base.mark_line(strokeWidth=1.8 if len(arms) < 15 else 1.2, clip=True).encode(
        strokeDash=encode_dash(arms), opacity=alt.condition(_FADED, alt.value(1), alt.value(0.2))
    )
    near = [{"param": "hover", "empty": False, "value": 1}, {"test": "datum.lone", "value": 1}]
    seen = alt.value(1) if pointed else alt.OpacityValue(condition=near, value=0)
    point = base.mark_circle(size=45, tooltip=alt.ExprRef(_TIP)).encode(opacity=seen)
    over = alt.param(name="over", value=X)
    layers = alt.layer(band, line, point.add_params(hover), *marks).add_params(over)
    return dict(layers.properties(width="container", height=HEIGHT).to_dict(validate=False))
