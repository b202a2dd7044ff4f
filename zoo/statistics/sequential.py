"""Sequential testing: verdicts that may be checked after every seed without exceeding the stated error.

A t-interval looked at after every seed misses the truth far more often than it says. An interval sequence does not:
the chance that any of its intervals, over all numbers of seeds, misses the mean is ``error``. It comes from a
martingale. For normal values of mean μ and unknown standard deviation σ, let an alternative say that the standardized
effect (mean - μ)/σ is itself normal around 0 with variance g, and integrate σ out of both with its Haar prior dσ/σ:

    ratio(n) = (1 + n g)^(-1/2) · ((S + n d²) / (S + n d² / (1 + n g)))^(n/2),   d = mean - μ,   S = Σ (value - mean)²

With the true μ, this ratio is a martingale that begins at 1, whatever σ is, so that it ever reaches 1/error with a
chance of ``error`` at most (Ville 1939). All μ for which it has not are the interval. Lai 1976, "On confidence
sequences", Annals of Statistics 4; Wang and Ramdas 2023, "Anytime-valid t-tests and confidence sequences for Gaussian
means with unknown variance", arXiv:2310.03722. It assumes, as the t-test does, that differences are normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zoo.checks import require
from zoo.statistics.interval import Interval, has_no_spread

EFFECT_VARIANCE = 4.0  # effects of about two deviations; from 4 values on, and near the narrowest from 5 to 20


@dataclass(frozen=True)
class Look:
    """Result of a sequential test after some pairs: ``verdict`` is None if more seeds are needed."""

    pairs: int
    verdict: Literal["better", "worse", "equal", "undecided"] | None
    interval: Interval


def compute_sequence_interval(
    values: Sequence[float], error: float = 0.05, variance: float = EFFECT_VARIANCE
) -> Interval:
    """Computes the interval of a mean that is valid for every number of values at once with error ``error``.

    Args:
        values: Finite values in any order, assumed normal and independent.
        error: Probability that any interval of the sequence misses the mean; between 0 and 1, exclusive.
        variance: Prior variance g of the standardized effect. It affects the width, not the coverage.

    Returns:
        Infinite bounds where values are too few to say anything or do not differ.
    """
    require(0 < error < 1, f"error must be between 0 and 1: got error={error}")
    require(len(values) > 0, "values must hold at least one value: got none")
    sample = np.asarray(values, dtype=np.float64)
    count, mean, grown = int(sample.size), float(sample.mean()), 1 + len(values) * variance
    ratio = (math.sqrt(grown) / error) ** (2 / count)  # of squares, at which the martingale is 1/error
    if ratio >= grown or has_no_spread(values):
        return Interval(mean, -math.inf, math.inf, count)
    squares = float(((sample - mean) ** 2).sum())
    half = math.sqrt(squares * (ratio - 1) / (count * (1 - ratio / grown)))
    return Interval(mean, mean - half, mean + half, count)


def run_sequential_test(
    differences: Sequence[float],
    *,
    most: int,
    higher_is_better: bool,
    margin: float | None = None,
    arms: int = 1,
    error: float = 0.05,
) -> Look:
    """Returns the first verdict that the differences give, taken one by one; its ``verdict`` is None to continue.

    Better or worse if the interval excludes 0, equal if it lies within the margin, undecided at ``most`` pairs. Later
    differences never change a verdict. The error is divided by the number of
    arms, since arms stop at different times (Bonferroni).

    Args:
        differences: Arm minus baseline for all seeds, in the order in which they were run.
        most: Maximum number of pairs.
        higher_is_better: True if larger values of the metric are better.
        margin: Largest difference that counts as equal.
        arms: Number of arms compared with this baseline.
        error: Probability of any false verdict over all looks and arms.

    Raises:
        Refused: if there is no difference, or an option is out of its range.
    """
    require(most > 0, f"most must be above 0: got most={most}")
    require(arms > 0, f"arms must be above 0: got arms={arms}")
    require(margin is None or margin > 0, f"margin must be above 0: got margin={margin}")
    require(len(differences) > 0, "differences must hold at least one value: got none")
    for count in range(1, len(differences) + 1):
        interval = compute_sequence_interval(differences[:count], error / arms)
        verdict: Literal["better", "worse", "equal", "undecided"] | None = None
        if margin is not None and -margin < interval.low and interval.high < margin:
            verdict = "equal"
        elif interval.low > 0 or interval.high < 0:
            verdict = "better" if (interval.low > 0) is higher_is_better else "worse"
        elif count >= most:
            verdict = "undecided"
        if verdict is not None:
            return Look(count, verdict, interval)
    return Look(count, None, interval)
