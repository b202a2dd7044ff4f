"""Paired tests of difference and equivalence, and their correction for multiple comparisons.

The tests use differences paired by seed and assume that these are normal (Student 1908). Where all differences are
equal, the t statistic is infinite, and exact sign tests are used instead (two pairs can agree by chance).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy

from zoo.checks import require
from zoo.statistics.interval import compute_deviation, has_no_spread


def compute_difference_p(differences: Sequence[float]) -> float:
    """Computes the two-sided p-value of the paired t-test that the mean is 0; NaN for fewer than two pairs."""
    if len(differences) < 2:
        return math.nan
    if has_no_spread(differences):
        return 2.0 ** (1 - len(differences)) if differences[0] else 1.0
    return 2 * _compute_cdf(-abs(_compute_t(differences, 0.0)), len(differences))


def compute_equivalence_p(differences: Sequence[float], margin: float) -> float:
    """Computes the p-value of two one-sided t-tests of equivalence within ``margin``; NaN for fewer than two pairs.

    Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach", Journal of
    Pharmacokinetics and Biopharmaceutics 15; Lakens 2017 explains it.

    Raises:
        Refused: if ``margin`` is not above 0.
    """
    require(margin > 0, f"margin must be above 0: got margin={margin}")
    if len(differences) < 2:
        return math.nan
    if has_no_spread(differences):
        return 2.0 ** -len(differences) if abs(differences[0]) < margin else 1.0
    below, above = _compute_t(differences, margin), _compute_t(differences, -margin)
    return max(_compute_cdf(below, len(differences)), _compute_cdf(-above, len(differences)))


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Adjusts p-values by the method of Holm, which controls the family-wise error rate under any dependence.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    A NaN stands for a planned comparison that was not tested: it counts as 1 and stays NaN.
    """
    adjusted, worst = [math.nan] * len(p_values), 0.0
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    for rank, (p, place) in enumerate(tested):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p))
        adjusted[place] = worst
    return adjusted


def predict_probability_above(differences: Sequence[float]) -> float:
    """Computes the predictive probability that the next pair's difference is above 0.

    (next - mean) / (s √(1 + 1/n)) is t(n - 1) distributed (Geisser 1993, "Predictive inference"). Bouthillier et al.
    2021 recommend this probability, since unlike a p-value it measures the size of an effect.
    NaN for fewer than two pairs.
    """
    if len(differences) < 2:
        return math.nan
    mean, spread = float(np.mean(differences)), compute_deviation(differences)
    if has_no_spread(differences):
        return 0.5 + 0.5 * float(np.sign(differences[0]))
    return _compute_cdf(mean / (spread * math.sqrt(1 + 1 / len(differences))), len(differences))


def _compute_t(differences: Sequence[float], center: float) -> float:
    """Computes the t statistic of the mean against ``center``."""
    return (float(np.mean(differences)) - center) * math.sqrt(len(differences)) / compute_deviation(differences)


def _compute_cdf(t: float, count: int) -> float:
    """Computes the CDF of Student's t distribution with ``count - 1`` degrees of freedom at ``t``."""
    return float(scipy.special.stdtr(count - 1, t))
