"""Learning curves of runs, and their mean and range over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from zoo.runs.metrics_file import parse_metrics
from zoo.system.files import Damaged

AXES = ("step", "tokens", "seconds")
_DEPTH = "depth/"  # prefix of columns about single layers, which are not metrics of a run


def read_curves(path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Reads the measurements of a run as a table of floats, and notes on what could not be read.

    Rows are sparse: a metric that was not logged at a step is null.
    """
    try:
        table = parse_metrics(path)
    except Damaged as error:
        return pl.DataFrame(), (str(error),)
    lines = "line" if table.incomplete == 1 else "lines"
    notes = (f"{path.name}: {table.incomplete} incomplete {lines} ignored",) if table.incomplete else ()
    columns = {name: [float(row[name]) if name in row else None for row in table.rows] for name in table.columns}
    schema = dict.fromkeys(table.columns, pl.Float64)
    return (pl.DataFrame(columns, schema=schema) if table.rows else pl.DataFrame()), notes


def list_metrics(curves: Iterable[pl.DataFrame]) -> list[str]:
    """Lists the metrics that have at least one value in one of the tables, in order of appearance."""
    return [name for name in _list_columns(curves) if not name.startswith(_DEPTH)]


def group_by_depth(curves: Iterable[pl.DataFrame]) -> dict[tuple[str, str], dict[int, str]]:
    """Groups the columns about single layers by quantity and stack, then by index of the layer."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for name in _list_columns(curves):
        parts = name.removeprefix(_DEPTH).split("/")
        if name.startswith(_DEPTH) and len(parts) == 3 and parts[2].isdecimal():
            found.setdefault((parts[0], parts[1]), {})[int(parts[2])] = name
    return found


def _list_columns(curves: Iterable[pl.DataFrame]) -> list[str]:
    found: dict[str, None] = {}
    for curve in curves:
        found.update((name, None) for name in curve.columns if name not in AXES and curve[name].count())
    return list(found)


def aggregate_seeds(curves: Mapping[str, Sequence[pl.DataFrame]], metrics: Sequence[str]) -> pl.DataFrame:
    """Computes mean, minimum and maximum of metrics over seeds, by arm and step.

    If a resumed run logged a step twice, the last values count. Values that are not finite are left out.

    Args:
        curves: tables of the seeds by arm.
        metrics: columns to aggregate.

    Returns:
        A table with columns ``arm, step, tokens, seconds`` and, for each metric, ``<metric>``, ``low <metric>``,
        ``high <metric>``, ``seeds <metric>`` (number of finite values) and ``logged <metric>`` (number of values).
    """
    frames = [
        curve.select(pl.lit(arm).alias("arm"), pl.lit(seed).alias("seed"), *(c for c in curve.columns if c in wanted))
        for wanted in [{*AXES, *metrics}]
        for arm, seeds in curves.items()
        for seed, curve in enumerate(seeds)
        if "step" in curve.columns
    ]
    empty = pl.DataFrame(schema={"arm": pl.String, "seed": pl.Int32} | dict.fromkeys((*AXES, *metrics), pl.Float64))
    logged = pl.concat([empty, *frames], how="diagonal_relaxed").drop_nulls("step")
    once = logged.group_by("arm", "seed", "step", maintain_order=True).agg(pl.all().drop_nulls().last())
    finite = {name: pl.col(name).filter(pl.col(name).is_finite()) for name in metrics}
    columns = [pl.col("tokens", "seconds").mean()]
    for name, values in finite.items():
        columns += [values.mean().alias(name), values.min().alias(f"low {name}"), values.max().alias(f"high {name}")]
        columns += [values.count().alias(f"seeds {name}"), pl.col(name).count().alias(f"logged {name}")]
    order = pl.DataFrame({"arm": list(curves), "place": range(len(curves))}, schema_overrides={"arm": pl.String})
    table = once.group_by("arm", "step").agg(columns).join(order, on="arm").sort("place", "step")
    return table.drop("place")


def downsample(table: pl.DataFrame, metric: str, points: int) -> pl.DataFrame:
    """Returns at most ``points`` evenly spaced rows of each arm with the metric, the first and last included."""
    rows = table.filter(pl.col(f"logged {metric}") > 0)
    place = pl.int_range(pl.len()).over("arm")
    share = place * (points - 1) // (pl.len().over("arm") - 1).clip(1)  # integers: the last row is point number points
    rows = rows.with_columns(share=share)  # a column of its own: polars before 1.37 nests no window in another
    return rows.filter((pl.col("share") != pl.col("share").shift(1).over("arm")).fill_null(value=True)).drop("share")
