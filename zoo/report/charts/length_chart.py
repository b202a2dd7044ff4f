"""Scores by length: whether an arm goes on to be right where rows are longer than those it was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from zoo.report.charts.chart import Chart, Column, View
from zoo.report.charts.lines import across, lines
from zoo.report.claims.format import clip_interval
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run
from zoo.statistics import mean_interval

CAPTION = "Mean over seeds with its 95 % interval, over tokens of the source."


def lengths(arms: Mapping[str, int], runs: Sequence[Run]) -> Chart | None:
    """Exact match by length, a line an arm; None where there are fewer than two lengths."""
    metric = Metric.from_name("exact_match")
    found: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        for length, told in ((run.result or {}).get("by_length") or {}).items():
            if told.get(metric.name) is not None:
                found.setdefault((run.arm, int(length)), []).append(float(told[metric.name]))
    if len({length for _, length in found}) < 2:
        return None
    shown = {arm: number for arm, number in arms.items() if any(arm == other for other, _ in found)}
    order = sorted(found, key=lambda key: (shown[key[0]], key[1]))
    intervals = [mean_interval(found[key]) for key in order]
    ends = [clip_interval(metric, one) if one.known else (one.mean, one.mean) for one in intervals]
    columns: dict[str, Column] = {
        "arm": [arm for arm, _ in order],
        "x": [length for _, length in order],
        "mean": [100 * one.mean for one in intervals],
        "low": [100 * low for low, _ in ends],
        "high": [100 * high for _, high in ends],
        "seeds": [one.count for one in intervals],
    }
    trained = _trained(runs)
    caption = CAPTION + (" Dashed upright: the longest in training." if trained else "")
    view = View("exact match by length", columns, x="tokens of the source", y="exact match (%)")
    return Chart("lengths", "By length", caption, shown, _spec(shown, trained), (view,))


def _trained(runs: Iterable[Run]) -> int | None:
    """The length in training, if all runs tell the same."""
    data = [run.config.get("data") for run in runs if run.config]
    told = {one.get("train_length") for one in data if isinstance(one, Mapping)}
    length = told.pop() if len(told) == 1 else None
    return length if isinstance(length, int) else None


def _spec(arms: Mapping[str, int], trained: int | None) -> dict[str, Any]:
    x = across(alt.Scale(zero=False, nice=False))
    mark = alt.Chart(alt.NamedData("rows")).mark_rule(strokeDash=[4, 3], color="var(--quiet)", clip=True)
    marks = [] if trained is None else [mark.encode(x=alt.datum(trained))]
    return lines(arms, x, alt.Scale(domain=[0, 100]), pointed=True, marks=marks)
