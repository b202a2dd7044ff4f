"""Chart of quality against cost, with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from zoo.report.charts.chart import Axis, Chart, View, X
from zoo.report.charts.lines import HEIGHT, encode_x, encode_y
from zoo.report.charts.style import NUMBER, encode_color, encode_shape
from zoo.report.claims.format import clip_interval
from zoo.report.claims.table import Table
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run
from zoo.runs.run_result import RunResult

COSTS = {
    "parameters": "parameters",
    "active_parameters": "active parameters",
    "flops_per_token": "training FLOPs per token",
    "train_flops": "training FLOPs",
    "cache_bytes": "cache bytes of a row",
    "peak_memory_bytes": "peak memory (bytes)",
    "seconds": "seconds of training",
    "energy_joules": "energy (joules)",
}
CAPTION = "Mean and 95 % confidence interval of each arm over its seeds, against its cost."
FRONT = "Gray line: the best value that any arm reaches at that cost or less."
_TIP = (
    f"{{arm: datum.arm, at: format(datum.x, '.4~s') + ' ' + over, mean: format(datum.mean, '{NUMBER}'), "
    f"interval: format(datum.low, '{NUMBER}') + ' to ' + format(datum.high, '{NUMBER}')}}"
)


def compute_mean_cost(runs: Sequence[Run], name: str) -> float | None:
    """Computes the mean of one of :data:`COSTS` over the finished runs that report it; None if none does."""
    told = [value for run in runs if run.result and (value := _get_cost(run.result, name)) is not None]
    return sum(told) / len(told) if told else None


def _get_cost(result: RunResult, name: str) -> float | None:
    if name == "train_flops":
        flops, tokens = result.cost.get("flops_per_token"), result.tokens
        return flops * tokens if flops and tokens else None
    value: float | None = getattr(result, name, result.cost.get(name))
    return value


def build_cost_chart(table: Table, arms: Mapping[str, int], runs: Sequence[Run]) -> Chart | None:
    """Builds the chart with a point per arm, for each metric and cost; None for fewer than two arms with a result."""
    of_arm = {row.arm: [run for run in runs if run.arm == row.arm] for row in table.rows}
    told = {name: {arm: compute_mean_cost(members, name) for arm, members in of_arm.items()} for name in COSTS}
    views = [view for i in range(len(table.metrics)) if (view := _build_view(table, i, told)) is not None]
    offered = sorted((name for name in COSTS if any(told[name].values())), key=lambda name: not _is_varied(told[name]))
    if not views or not offered:
        return None
    shown = {row.arm: arms[row.arm] for row in table.rows if any(row.arm in view.columns["arm"] for view in views)}
    axes = tuple(Axis(COSTS[name], {"x": name, "front": f"front {name}"}, COSTS[name]) for name in offered)
    return Chart(
        "costs",
        "Quality against cost",
        CAPTION,
        shown,
        _build_spec(shown),
        tuple(views),
        axes,
        ("Metric", "against"),
        "circle",
    )


def _is_varied(values: Mapping[str, float | None]) -> bool:
    """True if the costs of the arms differ by more than the tolerance of matching."""
    known = [value for value in values.values() if value]
    return bool(known) and max(known) > 1.01 * min(known)


def _build_view(table: Table, number: int, told: Mapping[str, Mapping[str, float | None]]) -> View | None:
    metric = table.metrics[number]
    found = {row.arm: row.cells[number].interval for row in table.rows if len(row.cells) > number}
    known = {arm: interval for arm, interval in found.items() if interval is not None}
    if len(known) < 2:
        return None
    factor = 100 if metric.percent else 1
    ends = {arm: clip_interval(metric, interval) for arm, interval in known.items()}
    means = {arm: interval.mean for arm, interval in known.items()}
    columns: dict[str, list[Any]] = {
        "arm": list(known),
        "mean": [factor * mean for mean in means.values()],
        "low": [factor * low for low, _ in ends.values()],
        "high": [factor * high for _, high in ends.values()],
    }
    for name, values in told.items():
        columns[name] = [values[arm] for arm in known]
        front = _compute_front(metric, columns[name], list(means.values()))
        columns[f"front {name}"] = front if table.task.comparable else [None] * len(known)
    label = metric.label + (" (%)" if metric.percent else "")
    return View(label, columns, y=label)


def _compute_front(metric: Metric, prices: Sequence[float | None], values: Sequence[float]) -> list[float | None]:
    """Returns the values of the arms on the Pareto front, None for arms that another one dominates."""
    known = [(price, value) for price, value in zip(prices, values, strict=True) if price is not None]

    def beaten(price: float, value: float) -> bool:
        better = any(other <= price and metric.is_better(rival, value) for other, rival in known)
        return better or any(other < price and rival == value for other, rival in known)

    factor = 100 if metric.percent else 1
    return [
        None if metric.goal is None or price is None or beaten(price, value) else factor * value
        for price, value in zip(prices, values, strict=True)
    ]


def _build_spec(arms: Mapping[str, int]) -> dict[str, Any]:
    base = alt.Chart(alt.NamedData("rows")).encode(x=encode_x(alt.Scale(zero=False, nice=True, padding=12)))
    front = base.mark_line(interpolate="step-after", color="var(--rule)", strokeWidth=2).encode(y=encode_y("front"))
    rule = base.mark_rule(strokeWidth=1.5, opacity=0.6)
    whisker = rule.encode(y=encode_y("low"), y2="high:Q", color=encode_color(arms))
    point = base.mark_point(size=90, filled=True, opacity=1, tooltip=alt.ExprRef(_TIP)).encode(
        y=encode_y(), color=encode_color(arms), shape=encode_shape(arms)
    )
    over = alt.param(name="over", value=X)
    drawn = alt.layer(front.transform_filter("isValid(datum.front)"), whisker, point).add_params(over)
    return dict(drawn.properties(width="container", height=HEIGHT).to_dict(validate=False))
