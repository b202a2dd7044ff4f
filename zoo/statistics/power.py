"""Power analysis: the smallest effect that a study can detect, and the number of seeds that an effect requires.

The power of the paired t-test is the tail of the noncentral t distribution (Cohen 1988, "Statistical power analysis
for the behavioral sciences", chapter 2). That of the two one-sided tests is bounded from below by the two tests'
powers less one (Bonferroni), which is close to exact where it is above a half.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import scipy

TARGET_POWER = 0.8
MAX_PAIRS = 1000


def compute_power(effect: float, spread: float, pairs: int, error: float = 0.05) -> float:
    """Computes the power of a two-sided paired t-test at level ``error``.

    Args:
        effect: True mean of the differences.
        spread: Standard deviation of the differences, above 0.
        pairs: Number of pairs, at least 2.
        error: Probability of a false positive where the effect is 0.
    """
    critical = float(scipy.special.stdtrit(pairs - 1, 1 - error / 2))
    shift = effect * math.sqrt(pairs) / spread
    above, below = _compute_upper_tail(pairs - 1, shift, critical), _compute_upper_tail(pairs - 1, -shift, critical)
    return above + below


def bound_equivalence_power(effect: float, spread: float, pairs: int, margin: float, error: float = 0.05) -> float:
    """Computes a lower bound of the power of two one-sided equivalence tests at level ``error``."""
    critical, unit = float(scipy.special.stdtrit(pairs - 1, 1 - error)), math.sqrt(pairs) / spread
    above_low = _compute_upper_tail(pairs - 1, (margin + effect) * unit, critical)
    below_high = _compute_upper_tail(pairs - 1, (margin - effect) * unit, critical)
    return max(0.0, above_low + below_high - 1)


def compute_detectable_effect(spread: float, pairs: int, error: float = 0.05, wanted: float = TARGET_POWER) -> float:
    """Computes the smallest effect that a paired t-test detects with power ``wanted``; NaN for fewer than two pairs."""
    return math.nan if pairs < 2 or math.isnan(spread) else spread * _compute_standardized_effect(pairs, error, wanted)


@functools.cache
def _compute_standardized_effect(pairs: int, error: float, wanted: float) -> float:
    """Computes the effect in units of the spread; cached because it is slow and equal for all arms of a study."""
    high = 1.0
    while compute_power(high, 1.0, pairs, error) < wanted:
        high *= 2
    return float(scipy.optimize.brentq(lambda effect: compute_power(effect, 1.0, pairs, error) - wanted, 0.0, high))


def estimate_pairs(
    effect: float, spread: float, margin: float | None = None, error: float = 0.05, wanted: float = TARGET_POWER
) -> int | None:
    """Estimates the smallest number of pairs at which one of the two tests decides with power ``wanted``.

    Args:
        effect: Observed mean difference. It is uncertain, so the result is only an order of magnitude.
        spread: Observed standard deviation, above 0.
        margin: Largest difference that counts as equal; None tests for a difference only.
        error: level of each test.
        wanted: probability of a decision.
    Returns:
        None if more than 1,000.
    """
    found = _search_pairs(lambda pairs: compute_power(effect, spread, pairs, error) >= wanted)
    if margin is None:
        return found
    equal = _search_pairs(lambda pairs: bound_equivalence_power(effect, spread, pairs, margin, error) >= wanted)
    return min((pairs for pairs in (found, equal) if pairs is not None), default=None)


def _compute_upper_tail(freedom: int, shift: float, critical: float) -> float:
    """Computes the probability that a noncentral t is above ``critical``."""
    quick = 1 - float(scipy.special.nctdtr(freedom, shift, critical))
    return (
        float(scipy.stats.nct.sf(critical, freedom, shift)) if math.isnan(quick) else quick
    )  # in the far tails it is NaN


def _search_pairs(enough: Callable[[int], bool]) -> int | None:
    """Finds the smallest sufficient number of pairs, from 2 on, by bisection, as power increases with it."""
    low, high = 1, MAX_PAIRS
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
