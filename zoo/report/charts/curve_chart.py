"""Learning curves: a metric over steps, tokens, FLOPs or seconds, with the mean and range over seeds of each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from zoo.report.charts.chart import Axis, Chart, View
from zoo.report.charts.cost_chart import compute_mean_cost
from zoo.report.charts.lines import build_line_spec, encode_x
from zoo.report.records.learning_curves import aggregate_seeds, downsample, list_metrics
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run, Task

AXES = {"step": "steps", "tokens": "training tokens", "flops": "training FLOPs", "seconds": "seconds"}
CAPTION = "Line: mean over the seeds that reached the point. Band: minimum to maximum over seeds."


def build_curve_chart(task: Task, arms: Mapping[str, int], runs: Sequence[Run]) -> Chart | None:
    """Builds the learning curves of a task; None if nothing was measured.

    Args:
        task: task whose metrics are offered first.
        arms: number of each arm in the study.
        runs: runs of the task.
    """
    names = _order_metrics(task, list_metrics(run.curves for run in runs))
    of_arm = {arm: [run for run in runs if run.arm == arm and not run.curves.is_empty()] for arm in arms}
    shown = {arm: arms[arm] for arm, members in of_arm.items() if members}
    if not names:
        return None
    table = aggregate_seeds({arm: [run.curves for run in of_arm[arm]] for arm in shown}, names)
    per_token = {arm: compute_mean_cost(of_arm[arm], "flops_per_token") for arm in shown}
    flops = pl.col("tokens") * pl.col("arm").replace_strict(per_token, return_dtype=pl.Float64)
    table = table.with_columns(flops.alias("flops"))
    points = min(200, max(16, 2400 // len(shown)))
    note = "" if task.comparable else " The losses of the arms measure different things and are not comparable."
    return Chart(
        "curves",
        "Learning curves",
        CAPTION + note,
        shown,
        build_line_spec(shown, encode_x()),
        tuple(_build_view(name, downsample(table, name, points)) for name in names),
        tuple(Axis(label, {"x": name}, label) for name, label in AXES.items() if table[name].count()),
    )


def _order_metrics(task: Task, names: Sequence[str]) -> list[str]:
    """Orders metrics: those of the task, then other validation metrics, then training metrics."""
    wanted = [f"validation/{name}" for name in task.metrics]
    return sorted(names, key=lambda n: (wanted.index(n) if n in wanted else len(wanted), n.startswith("train/")))


def _build_view(name: str, rows: pl.DataFrame) -> View:
    split, _, short = name.rpartition("/")
    metric = Metric.from_name(short)
    when = {"train": "training", "validation": "validation"}.get(split, split)
    label = f"{when} {metric.label}".strip() + (" (%)" if metric.percent else "")
    factor = 100 if metric.percent else 1
    columns = {column: rows[column].to_list() for column in ("arm", *AXES)}
    columns |= {
        channel: (rows[column] * factor).to_list()
        for channel, column in (("mean", name), ("low", f"low {name}"), ("high", f"high {name}"))
    }
    lone = rows.select((pl.len().over("arm") == 1).cast(pl.Int8).alias("lone"))["lone"]
    return View(label, {**columns, "seeds": rows[f"seeds {name}"].to_list(), "lone": lone.to_list()}, y=label)
