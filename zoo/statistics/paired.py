"""The tests behind a verdict: is there a difference, is it within a margin, and which of many survive.

All are of differences paired by seed and assume that these are normal (Student 1908). Where all differences are the
same number, a t-test would be certain of anything; exact sign tests stand in (two pairs that agree happen by chance).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy

from zoo.checks import require
from zoo.statistics.interval import deviation, no_spread


def difference_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of the paired t-test that the mean is 0; NaN for fewer than two pairs."""
    if len(differences) < 2:
        return math.nan
    if no_spread(differences):
        return 2.0 ** (1 - len(differences)) if differences[0] else 1.0
    return 2 * _tail(-abs(_standard(differences, 0.0)), len(differences))


def equivalence_p(differences: Sequence[float], margin: float) -> float:
    """P-value of two one-sided t-tests that the mean is not within ``margin`` of 0; NaN for fewer than two pairs.

    Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach", Journal of
    Pharmacokinetics and Biopharmaceutics 15; Lakens 2017 explains it.

    Raises:
        Refused: if ``margin`` is not above 0.
    """
    require(margin > 0, f"margin must be above 0: got margin={margin}")
    if len(differences) < 2:
        return math.nan
    if no_spread(differences):
        return 2.0 ** -len(differences) if abs(differences[0]) < margin else 1.0
    below, above = _standard(differences, margin), _standard(differences, -margin)
    return max(_tail(below, len(differences)), _tail(-above, len(differences)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: rejecting those up to e errs in any of them with probability e at most, dependent or not.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    A NaN was planned but not tested: it counts as 1 and stays NaN.
    """
    adjusted, worst = [math.nan] * len(p_values), 0.0
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    for rank, (p, place) in enumerate(tested):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p))
        adjusted[place] = worst
    return adjusted


def probability_above(differences: Sequence[float]) -> float:
    """The chance that the next pair's difference is above 0: with what was seen, its distribution is Student's.

    (next - mean) / (s √(1 + 1/n)) is t(n - 1) distributed (Geisser 1993, "Predictive inference"). Bouthillier et al.
    2021 ask for this chance, since it tells the size of an effect in units of luck, which a p-value does not.
    NaN for fewer than two pairs.
    """
    if len(differences) < 2:
        return math.nan
    mean, spread = float(np.mean(differences)), deviation(differences)
    if no_spread(differences):
        return 0.5 + 0.5 * float(np.sign(differences[0]))
    return _tail(mean / (spread * math.sqrt(1 + 1 / len(differences))), len(differences))


def _standard(differences: Sequence[float], centre: float) -> float:
    """The t statistic of the mean against ``centre``."""
    return (float(np.mean(differences)) - centre) * math.sqrt(len(differences)) / deviation(differences)


def _tail(t: float, count: int) -> float:
    """The chance of a Student's t of ``count - 1`` degrees below ``t``."""
    return float(scipy.special.stdtr(count - 1, t))
