"""Learning-rate chart: results of each arm at every rate tried, and the best rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from zoo.report.charts.chart import Chart, Column, View
from zoo.report.charts.lines import build_line_spec, encode_x, encode_y
from zoo.report.charts.style import encode_color
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run, Task

CAPTION = (
    "Mean over the seeds of the learning-rate sweep. Ring: best learning rate, which the other runs of the arm use. "
    "Cross at the top: a run at that rate diverged."
)


def build_rate_chart(task: Task, arms: Mapping[str, int], runs: Sequence[Run]) -> Chart | None:
    """Builds the chart of a metric over the learning rate, with a line per arm; None if no rates were tried.

    Args:
        task: task whose metrics can be chosen.
        arms: number of each arm in the study.
        runs: runs of the task, those of the learning-rate sweep included.
    """
    tried = [run for run in runs if run.tuning and run.rate is not None and run.result]
    shown = {arm: number for arm, number in arms.items() if any(run.arm == arm for run in tried)}
    given = {(run.arm, run.rate) for run in runs if not run.tuning and run.rate is not None}
    metrics = map(Metric.from_name, task.metrics)
    views = [view for metric in metrics if (view := _build_view(metric, shown, tried, given)) is not None]
    if len({run.rate for run in tried}) < 2 or not views:
        return None
    return Chart(
        "rates",
        "Learning rates",
        CAPTION,
        shown,
        _build_spec(shown, sorted({run.rate for run in tried if run.rate is not None})),
        tuple(views),
    )


def _build_view(
    metric: Metric, arms: Mapping[str, int], tried: Sequence[Run], given: set[tuple[str, float]]
) -> View | None:
    """Builds rows by arm and rate."""
    found: dict[tuple[str, float], list[float]] = {}
    for run in tried:
        value = None if run.result is None else run.result.get_metric(metric.name)
        if value is not None and run.rate is not None:
            found.setdefault((run.arm, run.rate), []).append((100 if metric.percent else 1) * value)
    order = sorted(found, key=lambda key: (arms[key[0]], key[1]))
    finite = [[value for value in found[key] if math.isfinite(value)] for key in order]
    if not any(finite):
        return None
    means = [sum(values) / len(values) if values else None for values in finite]
    label = metric.label + (" (%)" if metric.percent else "")
    columns: dict[str, Column] = {
        "arm": [arm for arm, _ in order],
        "x": [rate for _, rate in order],
        "mean": means,
        "low": [min(values, default=None) for values in finite],
        "high": [max(values, default=None) for values in finite],
        "seeds": [len(values) for values in finite],
        "best": [mean if key in given else None for key, mean in zip(order, means, strict=True)],
        "lost": [len(found[key]) - len(values) for key, values in zip(order, finite, strict=True)],
    }
    return View(label, columns, x="learning rate", y=label)


def _build_spec(arms: Mapping[str, int], tried: Sequence[float]) -> dict[str, Any]:
    x = encode_x(alt.Scale(type="log", nice=False, padding=12))
    x["axis"]["labelExpr"], x["axis"]["values"] = "format(datum.value, '~e')", list(tried)
    base = alt.Chart(alt.NamedData("rows")).encode(x=x, color=encode_color(arms))
    ring = base.mark_point(size=170, strokeWidth=2, filled=False, shape="circle", opacity=1)
    best = ring.transform_filter("isValid(datum.best)").encode(y=encode_y("best"))
    cross = base.mark_point(size=110, shape="cross", angle=45, filled=True, opacity=1)
    lost = cross.transform_filter("datum.lost > 0").encode(y=alt.value(5))
    return build_line_spec(arms, x, pointed=True, marks=[best, lost])
