"""Charts of activations and gradients by depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from zoo.report.charts.chart import Axis, Chart, View
from zoo.report.charts.lines import build_line_spec, encode_x
from zoo.report.records.learning_curves import group_by_depth
from zoo.report.records.records import Run

CAPTION = (
    "Line: mean over seeds; band: minimum to maximum. Activations: root mean square of the output of a layer. "
    "Gradients: norm of the gradient of the loss with respect to that output."
)
_CHANNELS = ("mean", "low", "high", "seeds")
_ENDS = ("last", "first")
_MEASURED = {"activation": "activations", "gradient": "gradients"}
Ends = dict[str, dict[str, list[float]]]


def build_depth_chart(arms: Mapping[str, int], runs: Sequence[Run]) -> Chart | None:
    """Builds charts of values per layer at the first and last logged step, with a line per arm; None without values."""
    found = group_by_depth(run.curves for run in runs)
    told = _collect_ends(runs, [name for columns in found.values() for name in columns.values()]) if found else {}
    shown = {arm: number for arm, number in arms.items() if arm in told}
    if not shown:
        return None
    stacks = len({stack for _, stack in found})
    views = tuple(
        _build_view(_MEASURED.get(what, what) + (f" of {stack}" if stacks > 1 else ""), columns, shown, told)
        for (what, stack), columns in found.items()
    )
    axes = tuple(Axis(f"{when} step", {one: f"{when} {one}" for one in _CHANNELS}, "layer") for when in _ENDS)
    return Chart("depths", "By depth", CAPTION, shown, _build_spec(shown), views, axes, ("Norm of", "at the"))


def _collect_ends(runs: Sequence[Run], names: Sequence[str]) -> Ends:
    """Collects values of each run by arm, then by column with the prefix ``last`` or ``first`` for the logged step."""
    curves = [
        run.curves.select(pl.lit(run.arm).alias("arm"), pl.lit(i).alias("run"), "step", *told)
        for i, run in enumerate(runs)
        if (told := [name for name in names if name in run.curves.columns])
    ]
    ends = [
        end.name.prefix(f"{when} ")
        for when, end in (("last", pl.col(names).drop_nulls().last()), ("first", pl.col(names).drop_nulls().first()))
    ]
    table = pl.concat(curves, how="diagonal").sort("step").group_by("arm", "run").agg(ends).sort("run")
    by_arm: Ends = {}
    for row in table.iter_rows(named=True):
        own = by_arm.setdefault(row["arm"], {})
        for name in row.keys() - {"arm", "run"}:
            own.setdefault(name, []).extend(_keep_positive(row[name]))
    return by_arm


def _keep_positive(value: float | None) -> list[float]:
    """Returns the value in a list, or an empty list if it has no logarithm."""
    return [value] if value is not None and math.isfinite(value) and value > 0 else []


def _build_view(label: str, columns: Mapping[int, str], arms: Mapping[str, int], told: Ends) -> View:
    """Builds rows by arm and layer, with both steps."""
    rows = [(arm, layer, name) for arm in arms for layer, name in sorted(columns.items()) if told[arm][f"last {name}"]]
    table: dict[str, list[Any]] = {"arm": [arm for arm, *_ in rows], "x": [layer + 1 for _, layer, _ in rows]}
    for when in _ENDS:
        found = [_aggregate_seeds(told[arm][f"{when} {name}"]) for arm, _, name in rows]
        table |= {f"{when} {channel}": [one[channel] for one in found] for channel in _CHANNELS}
    return View(label, table, y=label)


def _aggregate_seeds(values: Sequence[float]) -> dict[str, float | None]:
    mean = sum(values) / len(values) if values else None
    return {"mean": mean, "low": min(values, default=None), "high": max(values, default=None), "seeds": len(values)}


def _build_spec(arms: Mapping[str, int]) -> dict[str, Any]:
    x = encode_x(alt.Scale(zero=False, nice=False, padding=8))
    x["axis"]["tickMinStep"] = 1
    return build_line_spec(arms, x, alt.Scale(type="log", nice=False, padding=8), pointed=True)
