"""How large an effect a study can find, and how many seeds it takes to find one.

The power of the paired t-test is the tail of the noncentral t distribution (Cohen 1988, "Statistical power analysis
for the behavioral sciences", chapter 2). That of the two one-sided tests is bounded from below by the two tests'
powers less one (Bonferroni), which is close to exact where it is above a half.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import scipy

WANTED = 0.8
MOST_PAIRS = 1000


def power(effect: float, spread: float, pairs: int, error: float = 0.05) -> float:
    """How often a two-sided paired t-test at level ``error`` finds ``effect``.

    Args:
        effect: true mean of the differences.
        spread: their standard deviation, above 0.
        pairs: how many, at least 2.
        error: chance of a false find where the effect is 0.
    """
    critical = float(scipy.special.stdtrit(pairs - 1, 1 - error / 2))
    shift = effect * math.sqrt(pairs) / spread
    above, below = _above(pairs - 1, shift, critical), _above(pairs - 1, -shift, critical)
    return above + below


def equivalence_power(effect: float, spread: float, pairs: int, margin: float, error: float = 0.05) -> float:
    """How often, at least, two one-sided tests at level ``error`` find that ``effect`` is within ``margin``."""
    critical, unit = float(scipy.special.stdtrit(pairs - 1, 1 - error)), math.sqrt(pairs) / spread
    above_low = _above(pairs - 1, (margin + effect) * unit, critical)
    below_high = _above(pairs - 1, (margin - effect) * unit, critical)
    return max(0.0, above_low + below_high - 1)


def detectable(spread: float, pairs: int, error: float = 0.05, wanted: float = WANTED) -> float:
    """The smallest effect that a paired t-test finds with probability ``wanted``; NaN for fewer than two pairs."""
    return math.nan if pairs < 2 or math.isnan(spread) else spread * _detectable(pairs, error, wanted)


@functools.cache
def _detectable(pairs: int, error: float, wanted: float) -> float:
    """In units of the spread: the same for all arms of a study, and slow."""
    high = 1.0
    while power(high, 1.0, pairs, error) < wanted:
        high *= 2
    return float(scipy.optimize.brentq(lambda effect: power(effect, 1.0, pairs, error) - wanted, 0.0, high))


def pairs_to_decide(
    effect: float, spread: float, margin: float | None = None, error: float = 0.05, wanted: float = WANTED
) -> int | None:
    """The fewest pairs at which one of the two tests would decide with probability ``wanted``.

    Args:
        effect: as observed. It is uncertain, and with it the answer: an order of magnitude, no promise.
        spread: as observed, above 0.
        margin: within which two arms count as equal; None asks for a difference only.
        error: level of each test.
        wanted: probability of a decision.
    Returns:
        None if more than 1,000.
    """
    found = _fewest(lambda pairs: power(effect, spread, pairs, error) >= wanted)
    if margin is None:
        return found
    equal = _fewest(lambda pairs: equivalence_power(effect, spread, pairs, margin, error) >= wanted)
    return min((pairs for pairs in (found, equal) if pairs is not None), default=None)


def _above(freedom: int, shift: float, critical: float) -> float:
    """The chance that a noncentral t is above ``critical``."""
    quick = 1 - float(scipy.special.nctdtr(freedom, shift, critical))
    return (
        float(scipy.stats.nct.sf(critical, freedom, shift)) if math.isnan(quick) else quick
    )  # in the far tails it is NaN


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The first number of pairs from 2 on that is enough; power grows with it, so halving finds it."""
    low, high = 1, MOST_PAIRS
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
