"""Learning curves: reading ``metrics.csv``, and the mean and range over seeds that a chart draws."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl

AXES = ("step", "tokens", "seconds")


def read_curves(path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The table of a run's measurements, and what of it could not be read.

    Rows are sparse. A line that a killed run left unfinished is ignored, and said in the notes.
    """
    if not path.is_file():
        return pl.DataFrame(), ()
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    unfinished = lines.pop()  # what follows the last line feed: nothing, or the beginning of a line
    whole = [line for line in lines if line.strip() and line.count(",") == lines[0].count(",")]
    ignored = sum(bool(line.strip()) for line in [*lines, unfinished]) - len(whole)
    notes = (f"{path.name}: {ignored} unfinished {'line' if ignored == 1 else 'lines'} ignored",) if ignored else ()
    return (_parse(whole) if whole else pl.DataFrame()), notes


def _parse(lines: Sequence[str]) -> pl.DataFrame:
    """Lines to a table of floats; a cell that is no number is null."""
    columns = dict.fromkeys(lines[0].strip().split(","), pl.Float64)
    text = "\n".join(line.rstrip("\r") for line in lines).encode()
    return pl.read_csv(io.BytesIO(text), schema=columns, ignore_errors=True)


def measured(curves: Sequence[pl.DataFrame]) -> list[str]:
    """Names of the metrics that have at least one value in one of the tables, in order of appearance."""
    found: dict[str, None] = {}
    for curve in curves:
        found.update((name, None) for name in curve.columns if name not in AXES and curve[name].count())
    return list(found)


def over_seeds(curves: Sequence[pl.DataFrame], metric: str, points: int) -> dict[str, list[float | None]]:
    """One metric of one arm: by step, its mean, lowest and highest over the seeds, at most ``points`` of them.

    A step that a resumed run wrote twice counts once, by its last writing. What is not finite is a gap.

    Returns:
        Columns ``step, tokens, seconds, mean, low, high, seeds``, of equal length; empty if nothing was measured.
    """
    seeds = [_one(curve, metric) for curve in curves if metric in curve.columns and "step" in curve.columns]
    if not seeds:
        return {}
    value = pl.col("value").filter(pl.col("value").is_finite())
    table = (
        pl.concat(seeds)
        .group_by("step")
        .agg(
            pl.col("tokens", "seconds").mean(),
            value.mean().alias("mean"),
            value.min().alias("low"),
            value.max().alias("high"),
            value.count().alias("seeds"),
        )
        .sort("step")
    )
    rounded = _thin(table, points).with_columns(pl.col("tokens", "seconds", "mean", "low", "high").round_sig_figs(5))
    return rounded.to_dict(as_series=False)


def _one(curve: pl.DataFrame, metric: str) -> pl.DataFrame:
    """One seed's values of one metric, one row a step."""
    axes = [pl.col(name) if name in curve.columns else pl.lit(None, pl.Float64).alias(name) for name in AXES]
    rows = curve.select(*axes, pl.col(metric).alias("value")).drop_nulls(["step", "value"])
    return rows.unique("step", keep="last")


def _thin(table: pl.DataFrame, points: int) -> pl.DataFrame:
    """Every so-manyth row, and always the last."""
    if table.height <= points:
        return table
    kept = [round(i * (table.height - 1) / (points - 1)) for i in range(points)]
    return table[kept]
