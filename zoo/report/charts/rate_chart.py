"""Learning-rate curves: what each arm reached at each rate that it was tried with, and which it was given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from zoo.report.charts.chart import Chart, Column, View
from zoo.report.charts.lines import across, lines, up
from zoo.report.charts.style import colour
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run, Task

CAPTION = (
    "Mean over seeds that served this choice alone. Ring: the rate that the arm's own runs use. "
    "Cross at the top: a run at that rate diverged."
)


def rates(task: Task, arms: Mapping[str, int], runs: Sequence[Run]) -> Chart | None:
    """A metric over the learning rate, a line an arm; None where rates were not tried.

    Args:
        task: its metrics are the choice.
        arms: number of each arm in the study.
        runs: of this task, those that served the choice of a rate included.
    """
    tried = [run for run in runs if run.tuning and run.rate is not None and run.result]
    shown = {arm: number for arm, number in arms.items() if any(run.arm == arm for run in tried)}
    given = {(run.arm, run.rate) for run in runs if not run.tuning and run.rate is not None}
    views = [view for name in task.metrics if (view := _view(Metric.from_name(name), shown, tried, given)) is not None]
    if len({run.rate for run in tried}) < 2 or not views:
        return None
    return Chart(
        "rates",
        "Learning rates",
        CAPTION,
        shown,
        _spec(shown, sorted({run.rate for run in tried if run.rate is not None})),
        tuple(views),
    )


def _view(metric: Metric, arms: Mapping[str, int], tried: Sequence[Run], given: set[tuple[str, float]]) -> View | None:
    """Rows by arm and rate."""
    found: dict[tuple[str, float], list[float]] = {}
    for run in tried:
        told = (run.result or {}).get("metrics") or {}
        if metric.name in told and run.rate is not None:
            lost = told[metric.name] is None or (run.result or {}).get("diverged")
            value = math.nan if lost else float(told[metric.name])
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


def _spec(arms: Mapping[str, int], tried: Sequence[float]) -> dict[str, Any]:
    x = across(alt.Scale(type="log", nice=False, padding=12))
    x["axis"]["labelExpr"], x["axis"]["values"] = "format(datum.value, '~e')", list(tried)
    base = alt.Chart(alt.NamedData("rows")).encode(x=x, color=colour(arms))
    ring = base.mark_point(size=170, strokeWidth=2, filled=False, shape="circle", opacity=1)
    best = ring.transform_filter("isValid(datum.best)").encode(y=up("best"))
    cross = base.mark_point(size=110, shape="cross", angle=45, filled=True, opacity=1)
    lost = cross.transform_filter("datum.lost > 0").encode(y=alt.value(5))
    return lines(arms, x, pointed=True, marks=[best, lost])
