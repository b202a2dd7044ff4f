"""A line an arm with a band around it: what most charts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from zoo.report.charts.chart import X, Y
from zoo.report.charts.style import NUMBER, ROW, TICK, colour, dashes

HEIGHT = 300
_FADED = "!hover.arm || hover.arm[0] === datum.arm"
_RANGE = f"format({ROW}.low, '{NUMBER}') + ' to ' + format({ROW}.high, '{NUMBER}')"
_TIP = (
    f"{{arm: {ROW}.arm, at: format({ROW}.x, ',.5~g') + ' ' + over, "
    f"mean: isValid({ROW}.mean) ? format({ROW}.mean, '{NUMBER}') : 'not finite', "
    f"seeds: {ROW}.seeds + ({ROW}.low < {ROW}.high ? ', ' + {_RANGE} : '')}}"
)


def across(scale: alt.Scale | None = None) -> alt.X:
    """The horizontal axis over the column ``x``."""
    axis = alt.Axis(grid=False, tickCount=6, labelExpr=TICK, title=X)
    return alt.X("x:Q", axis=axis, scale=alt.Undefined if scale is None else scale)


def up(column: str = "mean", scale: alt.Scale | None = None) -> alt.Y:
    """The vertical axis over a column."""
    axis = alt.Axis(tickCount=6, labelExpr=TICK, title=Y)
    return alt.Y(f"{column}:Q", axis=axis, scale=alt.Scale(zero=False) if scale is None else scale)


def lines(
    arms: Mapping[str, int],
    x: alt.X,
    scale: alt.Scale | None = None,
    *,
    pointed: bool = False,
    marks: Sequence[alt.Chart] = (),
) -> dict[str, Any]:
    """Band, line and points over columns ``arm, x, mean, low, high, seeds``; ``lone`` where a point has no line.

    Args:
        arms: shown, with their numbers.
        x: the horizontal axis.
        scale: of the vertical axis; it need not begin at 0 if none is given.
        pointed: whether points are always seen, or only the nearest to the pointer.
        marks: what is drawn above.
    """
    hover = alt.selection_point(name="hover", fields=["arm", "x"], nearest=True, on="pointerover", empty=False)
    base = alt.Chart(alt.NamedData("rows")).encode(x=x, y=up(scale=scale), color=colour(arms))
    band = base.mark_area(opacity=min(0.15, 2 / len(arms)), clip=True).encode(y=up("low", scale), y2="high:Q")
    line = base.mark_line(strokeWidth=1.8 if len(arms) < 15 else 1.2, clip=True).encode(
        strokeDash=dashes(arms), opacity=alt.condition(_FADED, alt.value(1), alt.value(0.2))
    )
    near = [{"param": "hover", "empty": False, "value": 1}, {"test": "datum.lone", "value": 1}]
    seen = alt.value(1) if pointed else alt.OpacityValue(condition=near, value=0)
    point = base.mark_circle(size=45, tooltip=alt.ExprRef(_TIP)).encode(opacity=seen)
    over = alt.param(name="over", value=X)
    layers = alt.layer(band, line, point.add_params(hover), *marks).add_params(over)
    return dict(layers.properties(width="container", height=HEIGHT).to_dict(validate=False))
