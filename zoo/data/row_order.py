"""Order of training rows as a pure function of seed and step, so that a resumed run sees the same rows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from zoo.checks import Refused, require_positive

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]


@lru_cache(maxsize=4)
def shuffle_rows(rows: int, seed: int, epoch: int) -> Indices:
    """Returns a read-only permutation of ``rows`` rows for one epoch.

    Sorts the raw output of a bit generator: NumPy guarantees that this stream is the same in every version, unlike
    the result of ``Generator.permutation``.
    """
    require_positive("rows", rows)
    _require_natural("seed", seed)
    _require_natural("epoch", epoch)
    drawn: np.ndarray[Any, np.dtype[np.uint64]] = np.random.Philox(np.random.SeedSequence([seed, epoch])).random_raw(
        rows
    )
    permutation = np.argsort(drawn, kind="stable").astype(np.int64)
    permutation.flags.writeable = False
    return permutation


def draw_row_indices(rows: int, batch: int, seed: int, step: int) -> Indices:
    """Returns the row indices of one batch of an infinite stream of shuffled epochs; a batch may span two epochs.

    Args:
        rows: number of rows in the data set.
        batch: number of rows in a batch.
        seed: seed of the stream.
        step: index of the batch, from 0.
    """
    require_positive("rows", rows)
    require_positive("batch", batch)
    _require_natural("step", step)
    parts = []
    start, end = step * batch, (step + 1) * batch
    while start < end:
        epoch, first = divmod(start, rows)
        part = shuffle_rows(rows, seed, epoch)[first : first + end - start]
        parts.append(part)
        start += len(part)
    return np.concatenate(parts)


def _require_natural(name: str, value: int) -> None:
    if value < 0:
        raise Refused(f"{name} must not be negative: got {name}={value}")
