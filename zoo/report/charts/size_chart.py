"""Chart of the difference to the reference across model sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from zoo.report.charts.chart import Chart, Column, View, X
from zoo.report.charts.lines import HEIGHT, encode_y
from zoo.report.charts.style import NUMBER, encode_color, encode_dash
from zoo.report.claims.format import format_difference
from zoo.report.claims.table import Table

CAPTION = "Mean difference and 95 % confidence interval at each size."
_TIP = (
    "{arm: datum.arm + ' against ' + datum.against, size: datum.x, difference: datum.text, interval: "
    f"format(datum.low, '{NUMBER}') + ' to ' + format(datum.high, '{NUMBER}'), verdict: datum.verdict}}"
)


def build_size_chart(tables: Sequence[Table], arms: Mapping[str, int]) -> Chart | None:
    """Builds the chart with a line per arm; None for fewer than two sizes or different metrics.

    Args:
        tables: tables of one task at its sizes, in order.
        arms: number of each arm in the study.
    """
    metric = tables[0].metrics[0] if tables and tables[0].metrics else None
    found = [
        (row, table.task.size, one.interval, one.verdict or "none")
        for table in tables
        for row in table.rows
        if (one := table.get_comparison(row)) and one.interval
    ]
    if (
        metric is None
        or any(table.metrics[0] != metric for table in tables)
        or len({size for _, size, _, _ in found}) < 2
    ):
        return None
    factor = 100 if metric.percent else 1
    order = sorted(found, key=lambda one: arms[one[0].arm])  # of one arm, sizes stay in order
    columns: dict[str, Column] = {
        "arm": [row.arm for row, *_ in order],
        "against": [row.against for row, *_ in order],
        "x": [size for _, size, *_ in order],
        "mean": [factor * interval.mean for *_, interval, _ in order],
        "low": [factor * interval.low for *_, interval, _ in order],
        "high": [factor * interval.high for *_, interval, _ in order],
        "text": [format_difference(metric, interval) for *_, interval, _ in order],
        "verdict": [verdict for *_, verdict in order],
    }
    shown = {arm: number for arm, number in arms.items() if arm in columns["arm"]}
    unit = " (points)" if metric.percent else ""
    way = f": {'above' if metric.goal == 'higher' else 'below'} 0 is better" if metric.goal else ""
    view = View(metric.label, columns, x="size", y=f"difference in {metric.label}{unit}{way}")
    order_of_sizes = [table.task.size for table in tables]
    return Chart("sizes", "At each size", CAPTION, shown, _build_spec(shown, order_of_sizes), (view,))


def _build_spec(arms: Mapping[str, int], order: Sequence[str]) -> dict[str, Any]:
    axis = alt.Axis(title=X, labelAngle=0, grid=False)
    base = alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X("x:N", sort=list(order), axis=axis, scale=alt.Scale(paddingInner=0.3, paddingOuter=0.2)),
        xOffset=alt.XOffset("arm:N", sort=list(arms)),
        color=encode_color(arms),
    )
    zero = alt.Chart(alt.NamedData("rows")).mark_rule(color="var(--quiet)").encode(y=alt.datum(0))
    line = base.mark_line(strokeWidth=1.5, opacity=0.7).encode(y=encode_y(), strokeDash=encode_dash(arms))
    whisker = base.mark_rule(strokeWidth=2).encode(y=encode_y("low"), y2="high:Q")
    point = base.mark_circle(size=80, opacity=1, tooltip=alt.ExprRef(_TIP)).encode(y=encode_y())
    return dict(
        alt.layer(zero, line, whisker, point).properties(width="container", height=HEIGHT).to_dict(validate=False)
    )
