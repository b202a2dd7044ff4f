"""Forest plot: differences to the reference with intervals and seeds, over the noise of the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from zoo.report.charts.chart import Chart, View, X
from zoo.report.charts.style import NUMBER, TICK, encode_color
from zoo.report.claims.format import format_difference
from zoo.report.claims.table import Table
from zoo.statistics import Interval, compute_deviation
from zoo.statistics.verdict import compute_differences

ROW_HEIGHT, LOW = 40, 9  # pixels: height of a row, and distance of the interval from its middle
CAPTION = (
    "Diamond and line: mean difference and its 95 % confidence interval, without a cap where it is cut off; "
    "dots: seeds. Gray: one standard deviation of the reference over seeds."
)
SEQUENTIAL = "Intervals of the sequential rule are valid at every number of seeds."
MARGIN = "Dashed: the equivalence margin."
_TIP = (
    "{arm: datum.name, against: datum.against, difference: datum.text, "
    f"interval: isValid(datum.lowest) ? format(datum.lowest, '{NUMBER}') + ' to ' + format(datum.highest, '{NUMBER}') "
    ": 'not known', seeds: datum.seeds}"
)

_AXIS = alt.Axis(grid=False, tickCount=6, labelExpr=TICK, title=X)
_PAPER = "var(--paper)"


@dataclass(frozen=True)
class _Line:
    """A difference of an arm or an interaction of two changes; ``gaps`` are the differences by seed."""

    arm: str
    against: str
    name: str
    interval: Interval
    gaps: tuple[float, ...]
    noise: float
    verdict: str = ""


def build_forest_plot(table: Table, arms: Mapping[str, int]) -> Chart | None:
    """Builds the plot with a line per comparison, for each metric; None if nothing is compared."""
    views = [view for i in range(len(table.metrics)) if (view := _build_view(table, i)) is not None]
    if not views or not table.task.comparable:
        return None
    shown = {row.arm: arms[row.arm] for row in table.rows if any(row.arm in view.columns["arm"] for view in views)}
    family = table.family
    told = [CAPTION, SEQUENTIAL if family and family.max_seeds else "", MARGIN if family and family.margin else ""]
    others = set(table.others)
    title = f"Differences to {others.pop()}" if len(others) == 1 else "Differences"
    return Chart(
        "forest",
        title,
        " ".join(filter(None, told)),
        shown,
        _build_spec(shown),
        tuple(views),
        legend="",
        row=ROW_HEIGHT,
    )


def _build_view(table: Table, number: int) -> View | None:
    metric = table.metrics[number]
    found = _collect_lines(table, number)
    if not found:
        return None
    factor = 100 if metric.percent else 1
    margin = table.family.margin if table.family and number == 0 else None
    low, high = _compute_domain(found)
    columns: dict[str, list[Any]] = {
        "arm": [line.arm for line in found],
        "against": [line.against for line in found],
        "name": [line.name for line in found],
        "mean": [factor * line.interval.mean for line in found],
        "low": [factor * max(low, line.interval.low) if line.interval.count > 1 else None for line in found],
        "high": [factor * min(high, line.interval.high) if line.interval.count > 1 else None for line in found],
        "lowest": [factor * line.interval.low for line in found],
        "highest": [factor * line.interval.high for line in found],
        "below": [-factor * line.noise for line in found],
        "above": [factor * line.noise for line in found],
        "margin": [None if margin is None else factor * margin for _ in found],
        "gaps": [[factor * gap for gap in line.gaps] for line in found],
        "seeds": [line.interval.count for line in found],
        "text": [format_difference(metric, line.interval) for line in found],
        "said": [f"{line.verdict}: {format_difference(metric, line.interval)}".removeprefix(": ") for line in found],
    }
    unit = " (points)" if metric.percent else ""
    way = {"higher": ": right is better", "lower": ": left is better", None: ""}[metric.goal]
    return View(metric.label + unit.replace("points", "%"), columns, x=f"difference in {metric.label}{unit}{way}")


def _collect_lines(table: Table, number: int) -> list[_Line]:
    """Collects the comparisons that verdicts rest on for the primary metric, and plain differences for others."""
    rows = {row.arm: row for row in table.rows if len(row.cells) > number}
    several = len(table.others) > 1
    found = []
    for arm, row in rows.items():
        one = table.get_comparison(row) if number == 0 else None
        interval = one.interval if one and one.interval else row.cells[number].difference
        if interval is None or row.against not in rows:
            continue
        base = rows[row.against].cells[number].values
        name = f"{arm} (against {row.against})" if several else arm
        gaps = one.differences if one and one.differences else compute_differences(row.cells[number].values, base)
        noise = compute_deviation([value for value in base.values() if math.isfinite(value)])
        found.append(_Line(arm, row.against, name, interval, gaps, noise, (one.verdict if one else None) or ""))
    for each in table.family.interactions if table.family and number == 0 else ():
        one, name = each.comparison, f"interaction of {each.one} and {each.other}"
        if one.interval is not None:
            apart = "the sum of both effects"
            found.append(_Line(each.both, apart, name, one.interval, one.differences, math.nan, one.verdict or ""))
    return found


def _compute_domain(found: Sequence[_Line]) -> tuple[float, float]:
    """Computes the range of the axis: all seeds and the noise, plus the intervals up to once that range per side."""
    around = [line.noise for line in found if math.isfinite(line.noise)]
    inner = [0.0, *(gap for line in found for gap in line.gaps), *around, *(-one for one in around)]
    inner += [line.interval.mean for line in found]
    low, high = min(inner), max(inner)
    span = (high - low) or 1.0
    ends = [end for line in found for end in (line.interval.low, line.interval.high) if not math.isnan(end)]
    return min(low, max(low - span, min(ends, default=low))), max(high, min(high + span, max(ends, default=high)))


def _build_spec(arms: Mapping[str, int]) -> dict[str, Any]:
    """Builds the specification: a row per arm with name and verdict above the interval."""
    y = alt.Y("name:N", sort=None, axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0, type="band"))
    rows = alt.Chart(alt.NamedData("rows")).encode(y=y)
    layers = alt.layer(*_draw_background(rows), *_draw_intervals(rows, encode_color(arms)), *_draw_texts(rows))
    return dict(layers.properties(width="container").to_dict(validate=False))


def _encode_x(column: str) -> alt.X:
    return alt.X(f"{column}:Q", axis=_AXIS, scale=alt.Scale(nice=False, padding=6))


def _draw_background(rows: alt.Chart) -> list[alt.Chart]:
    """Draws the noise of each row, and the margin and zero across all rows."""
    noise = rows.mark_rect(color="var(--rule)", opacity=0.45).encode(x=_encode_x("below"), x2="above:Q")
    upright = alt.Chart(alt.NamedData("rows"))
    margin = upright.mark_rule(strokeDash=[4, 3], color="var(--quiet)").transform_filter("isValid(datum.margin)")
    margins = [margin.transform_calculate(edge=f"{sign}datum.margin").encode(x=_encode_x("edge")) for sign in "-+"]
    zero = upright.mark_rule(color="var(--quiet)").encode(x=alt.X(datum=0, axis=_AXIS))
    return [noise, *margins, zero]


def _draw_intervals(rows: alt.Chart, shade: alt.Color) -> list[alt.Chart]:
    line = rows.mark_rule(strokeWidth=2, yOffset=LOW).encode(x=_encode_x("low"), x2="high:Q", color=shade)
    cap = rows.mark_tick(thickness=2, size=9, orient="vertical", yOffset=LOW)
    caps = [
        cap.transform_filter(f"isValid(datum.{end}) && datum.{end} === datum.{full}").encode(
            x=_encode_x(end), color=shade
        )
        for end, full in (("low", "lowest"), ("high", "highest"))
    ]
    seed = rows.transform_flatten(["gaps"]).mark_circle(size=16, opacity=0.55, yOffset=LOW)
    mean = rows.mark_point(size=85, filled=True, opacity=1, shape="diamond", yOffset=LOW, tooltip=alt.ExprRef(_TIP))
    return [line, *caps, seed.encode(x=_encode_x("gaps"), color=shade), mean.encode(x=_encode_x("mean"), color=shade)]


def _draw_texts(rows: alt.Chart) -> list[alt.Chart]:
    """Draws names on the left and verdicts on the right, each over an outline in the color of the paper."""
    name = rows.encode(x=alt.value(2), text="name:N")
    said = rows.encode(x=alt.value(alt.ExprRef("width")), text="said:N")
    of_name, of_said = alt.ExprRef("0.55 * width"), alt.ExprRef("0.45 * width")
    return [
        name.mark_text(align="left", dy=-8, fontWeight=600, limit=of_name, stroke=_PAPER, strokeWidth=4),
        said.mark_text(align="right", dy=-8, limit=of_said, stroke=_PAPER, strokeWidth=4),
        name.mark_text(align="left", dy=-8, fontWeight=600, limit=of_name),
        said.mark_text(align="right", dy=-8, limit=of_said, color="var(--quiet)"),
    ]
