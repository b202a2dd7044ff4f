"""Chart of scores by length, which shows length generalization beyond the rows in training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from zoo.report.charts.chart import Chart, Column, View
from zoo.report.charts.lines import build_line_spec, encode_x
from zoo.report.claims.format import clip_interval
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run
from zoo.statistics import compute_mean_interval

CAPTION = "Mean over seeds with its 95 % confidence interval, by length of the source in tokens."


def build_length_chart(arms: Mapping[str, int], runs: Sequence[Run]) -> Chart | None:
    """Builds the chart of exact match by length, with a line per arm; None for fewer than two lengths."""
    metric = Metric.from_name("exact_match")
    found: dict[tuple[str, int], list[float]] = {}
    for run in runs:
        for length, metrics in run.metrics_by_length.items():
            if metric.name in metrics:
                found.setdefault((run.arm, int(length)), []).append(metrics[metric.name])
    if len({length for _, length in found}) < 2:
        return None
    shown = {arm: number for arm, number in arms.items() if any(arm == other for other, _ in found)}
    order = sorted(found, key=lambda key: (shown[key[0]], key[1]))
    intervals = [compute_mean_interval(found[key]) for key in order]
    ends = [clip_interval(metric, one) if one.known else (one.mean, one.mean) for one in intervals]
    columns: dict[str, Column] = {
        "arm": [arm for arm, _ in order],
        "x": [length for _, length in order],
        "mean": [100 * one.mean for one in intervals],
        "low": [100 * low for low, _ in ends],
        "high": [100 * high for _, high in ends],
        "seeds": [one.count for one in intervals],
    }
    trained = _get_training_length(runs)
    caption = CAPTION + (" Dashed line: the longest in training." if trained else "")
    view = View("exact match by length", columns, x="tokens of the source", y="exact match (%)")
    return Chart("lengths", "By length", caption, shown, _build_spec(shown, trained), (view,))


def _get_training_length(runs: Iterable[Run]) -> int | None:
    """Returns the training length if it is the same in all runs, else None."""
    told = {run.get_section("data").get("train_length") for run in runs if run.get_section("data")}
    length = told.pop() if len(told) == 1 else None
    return length if isinstance(length, int) else None


def _build_spec(arms: Mapping[str, int], trained: int | None) -> dict[str, Any]:
    x = encode_x(alt.Scale(zero=False, nice=False))
    mark = alt.Chart(alt.NamedData("rows")).mark_rule(strokeDash=[4, 3], color="var(--quiet)", clip=True)
    marks = [] if trained is None else [mark.encode(x=alt.datum(trained))]
    return build_line_spec(arms, x, alt.Scale(domain=[0, 100]), pointed=True, marks=marks)
