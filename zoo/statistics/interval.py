"""Means with intervals, and differences paired by seed.

The intervals are Student's (1908, "The probable error of a mean", Biometrika 6): exact when the values are drawn
independently from one normal distribution, wide when there are few. A difference is taken seed by seed, because two
arms that share a seed share weights, order of data and luck; what they share cancels (Bouthillier et al. 2021,
arXiv:2103.03098). From ten values on there is also a bootstrap interval (Efron 1987, "Better bootstrap confidence
intervals", JASA 82), which assumes no distribution, but is too narrow for few values: a check, not the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from zoo.checks import Refused, require


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it, in the unit of the values.

    One value has no interval: ``low`` and ``high`` are then NaN; too few for a sequential rule have infinite ones.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def known(self) -> bool:
        """True if both bounds are finite; a t-interval needs two values."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def half_width(self) -> float:
        """Distance from the mean to either bound; NaN for one value."""
        return (self.high - self.low) / 2

    def overlaps(self, other: Interval) -> bool:
        """True if the intervals share a point; an interval without finite bounds overlaps every other."""
        if not (self.known and other.known):
            return True
        return self.low <= other.high and other.low <= self.high

    def excludes(self, value: float) -> bool:
        """True if ``value`` lies outside the bounds; False if there are none."""
        return self.known and not self.low <= value <= self.high


def compute_mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Computes the mean of independent values and its t-interval: mean ± t(n - 1) · s / √n.

    Args:
        values: One finite value per seed; the caller counts diverged runs and leaves them out.
        confidence: Coverage probability of the interval; between 0 and 1, exclusive.

    Raises:
        Refused: if there is no value, one is not finite, or ``confidence`` is out of range.
    """
    require(0 < confidence < 1, f"confidence must be between 0 and 1: got confidence={confidence}")
    require(len(values) > 0, "values must hold at least one value: got none")
    wrong = [value for value in values if not math.isfinite(value)]
    require(not wrong, f"values must be finite: got {wrong}")
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if sample.size == 1:
        return Interval(mean, math.nan, math.nan, 1)
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
    half = float(scipy.special.stdtrit(sample.size - 1, (1 + confidence) / 2)) * error
    return Interval(mean, mean - half, mean + half, int(sample.size))


def compute_paired_difference(
    values: Mapping[int, float], baseline: Mapping[int, float], confidence: float = 0.95
) -> Interval:
    """Computes the mean of ``values - baseline`` over the seeds that both have, with its t-interval.

    Seeds that only one side has are ignored; ``count`` is the number of shared seeds.

    Args:
        values: by seed, finite.
        baseline: by seed, finite.
        confidence: as for :func:`compute_mean_interval`.

    Raises:
        Refused: if no seed is shared, or as :func:`compute_mean_interval` does.
    """
    shared = sorted(values.keys() & baseline.keys())
    if not shared:
        raise Refused(f"a paired difference needs a shared seed: got {sorted(values)} and {sorted(baseline)}")
    return compute_mean_interval([values[seed] - baseline[seed] for seed in shared], confidence)


MIN_BOOTSTRAP_VALUES = 10


def compute_bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95, resamples: int = 9999
) -> Interval | None:
    """Computes the bias-corrected and accelerated (BCa) bootstrap interval of a mean, deterministically.

    Returns:
        None for fewer than ten values, or if all are equal.
    """
    if len(values) < MIN_BOOTSTRAP_VALUES or has_no_spread(values):
        return None
    sample = np.asarray(values, dtype=np.float64)
    found = scipy.stats.bootstrap(
        (sample,), np.mean, confidence_level=confidence, n_resamples=resamples, rng=0, method="BCa"
    )
    low, high = found.confidence_interval
    return Interval(float(sample.mean()), float(low), float(high), int(sample.size))


def compute_deviation(values: Sequence[float]) -> float:
    """Computes the sample standard deviation (n - 1 in the denominator); NaN for fewer than two values."""
    return float(np.std(np.asarray(values, dtype=np.float64), ddof=1)) if len(values) > 1 else math.nan


def has_no_spread(values: Sequence[float]) -> bool:
    """True if all values are equal up to rounding."""
    return max(values) - min(values) <= 1e-9 * max(map(abs, values))
