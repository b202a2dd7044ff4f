"""The order in which a run sees its rows: a pure function of seed and step, so that a resumed run sees the same."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from zoo.checks import Refused, require_positive

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]


@lru_cache(maxsize=4)
def order(rows: int, seed: int, epoch: int) -> Indices:
    """A permutation of ``rows`` rows for one epoch; read-only.

    Sorts the raw output of a bit generator, because numpy promises that to be the same in every version, and does
    not promise it of ``permutation``.
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


def indices(rows: int, batch: int, seed: int, step: int) -> Indices:
    """The rows of batch number ``step`` of an endless stream of shuffled epochs; a batch may straddle epochs.

    Args:
        rows: how many rows there are.
        batch: how many rows a batch has.
        seed: selects the stream.
        step: number of the batch, from 0.
    """
    require_positive("rows", rows)
    require_positive("batch", batch)
    _require_natural("step", step)
    parts = []
    at, end = step * batch, (step + 1) * batch
    while at < end:
        epoch, first = divmod(at, rows)
        taken = order(rows, seed, epoch)[first : first + end - at]
        parts.append(taken)
        at += len(taken)
    return np.concatenate(parts)


def _require_natural(name: str, value: int) -> None:
    if value < 0:
        raise Refused(f"{name} must not be negative: got {name}={value}")
