"""Learning curves: reading ``metrics.csv``, and the mean and range over seeds that a chart draws."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

AXES = ("step", "tokens", "seconds")
_DEPTH = "depth/"  # columns of single layers, which are no metrics of a run


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


def measured(curves: Iterable[pl.DataFrame]) -> list[str]:
    """Names of the metrics that have at least one value in one of the tables, in order of appearance."""
    return [name for name in _columns(curves) if not name.startswith(_DEPTH)]


def by_depth(curves: Iterable[pl.DataFrame]) -> dict[tuple[str, str], dict[int, str]]:
    """Columns that tell of single layers: by what is measured and the stack, by number of the layer."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for name in _columns(curves):
        parts = name.removeprefix(_DEPTH).split("/")
        if name.startswith(_DEPTH) and len(parts) == 3 and parts[2].isdecimal():
            found.setdefault((parts[0], parts[1]), {})[int(parts[2])] = name
    return found


def _columns(curves: Iterable[pl.DataFrame]) -> list[str]:
    found: dict[str, None] = {}
    for curve in curves:
        found.update((name, None) for name in curve.columns if name not in AXES and curve[name].count())
    return list(found)


def over_seeds(curves: Mapping[str, Sequence[pl.DataFrame]], metrics: Sequence[str]) -> pl.DataFrame:
    """Metrics by arm and step: mean, lowest and highest over the seeds.

    A step that a resumed run wrote twice counts once, by its last writing. What is not finite is a gap.

    Args:
        curves: by arm, the table of each seed.
        metrics: which of their columns.

    Returns:
        Columns ``arm, step, tokens, seconds`` and, of each metric, ``<metric>``, ``low <metric>``, ``high <metric>``,
        ``seeds <metric>`` (how many were finite) and ``told <metric>`` (how many were written), by arm and step.
    """
    frames = [
        curve.select(pl.lit(arm).alias("arm"), pl.lit(seed).alias("seed"), *(c for c in curve.columns if c in wanted))
        for wanted in [{*AXES, *metrics}]
        for arm, seeds in curves.items()
        for seed, curve in enumerate(seeds)
        if "step" in curve.columns
    ]
    empty = pl.DataFrame(schema={"arm": pl.String, "seed": pl.Int32} | dict.fromkeys((*AXES, *metrics), pl.Float64))
    told = pl.concat([empty, *frames], how="diagonal_relaxed").drop_nulls("step")
    once = told.group_by("arm", "seed", "step", maintain_order=True).agg(pl.all().drop_nulls().last())
    finite = {name: pl.col(name).filter(pl.col(name).is_finite()) for name in metrics}
    columns = [pl.col("tokens", "seconds").mean()]
    for name, values in finite.items():
        columns += [values.mean().alias(name), values.min().alias(f"low {name}"), values.max().alias(f"high {name}")]
        columns += [values.count().alias(f"seeds {name}"), pl.col(name).count().alias(f"told {name}")]
    order = pl.DataFrame({"arm": list(curves), "place": range(len(curves))}, schema_overrides={"arm": pl.String})
    table = once.group_by("arm", "step").agg(columns).join(order, on="arm").sort("place", "step")
    return table.drop("place")


def thinned(table: pl.DataFrame, metric: str, points: int) -> pl.DataFrame:
    """The rows in which the metric was told: of each arm at most ``points``, evenly spread, its first and last too."""
    rows = table.filter(pl.col(f"told {metric}") > 0)
    place = pl.int_range(pl.len()).over("arm")
    share = place * (points - 1) // (pl.len().over("arm") - 1).clip(1)  # integers: the last row is point number points
    rows = rows.with_columns(share=share)  # a column of its own: polars before 1.37 nests no window in another
    return rows.filter((pl.col("share") != pl.col("share").shift(1).over("arm")).fill_null(value=True)).drop("share")
