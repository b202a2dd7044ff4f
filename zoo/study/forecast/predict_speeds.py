"""Speeds of settings that are not measured, from those of settings that share their options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_LEAST = 1e-6  # seconds; durations have logarithms


@dataclass(frozen=True)
class SpeedKind:
    """Options and operations that determine the speed of a run.

    Args:
        options: values by dotted key.
        flops: operations of an optimizer step.
    """

    options: frozenset[tuple[str, str]]
    flops: float


def order_by_novelty(kinds: Mapping[str, SpeedKind]) -> Iterator[str]:
    """Yields all names so that the first few contain every option, then once more every option, and so on.

    The next is always the one with the most options that are not covered yet, the first of them if there are several.
    """
    left, covered = dict(kinds), set[tuple[str, str]]()
    while left:
        name = max(left, key=lambda each: len(left[each].options - covered))
        if not left[name].options - covered:
            covered = set()
            name = max(left, key=lambda each: len(left[each].options))
        covered |= left.pop(name).options
        yield name


def predict_durations(
    kinds: Mapping[str, SpeedKind], measured: Mapping[str, Sequence[float]]
) -> dict[str, tuple[float, ...]]:
    """Predicts durations in seconds: each option multiplies the time that an operation takes by a factor of its own.

    The factors are fitted to the logarithms of the measured durations by least squares, the smallest factors where
    several fit as well; an option that was not measured has the factor 1.

    Args:
        kinds: all kinds, by name.
        measured: durations of some of them, equally many of each; at least one kind.
    Returns:
        durations of the others.
    """
    options = sorted(set[tuple[str, str]]().union(*(kinds[name].options for name in measured)))
    work = np.log([kinds[name].flops for name in measured])[:, None]  # [measured, 1]
    logs = np.log(np.maximum(list(measured.values()), _LEAST)) - work  # [measured, durations]
    mean = logs.mean(axis=0)
    known, others = (_encode_options(kinds, names, options) for names in (measured, kinds))
    center = known.mean(axis=0)
    factors = np.linalg.lstsq(known - center, logs - mean, rcond=None)[0]  # [options, durations]
    predicted = np.exp((others - center) @ factors + mean + np.log([each.flops for each in kinds.values()])[:, None])
    return {name: tuple(row) for name, row in zip(kinds, predicted.tolist(), strict=True) if name not in measured}


def _encode_options(
    kinds: Mapping[str, SpeedKind], names: Iterable[str], options: Sequence[tuple[str, str]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Returns 1 where a kind has an option, else 0: ``[kinds, options]``."""
    return np.array([[each in kinds[name].options for each in options] for name in names], dtype=np.float64)
