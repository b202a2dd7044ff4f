"""Verdicts for a family of comparisons between arms on the same metric."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeVar

from zoo.checks import require
from zoo.statistics.interval import (
    Interval,
    compute_bootstrap_interval,
    compute_deviation,
    compute_mean_interval,
    has_no_spread,
)
from zoo.statistics.paired import (
    adjust_p_values,
    compute_difference_p,
    compute_equivalence_p,
    predict_probability_above,
)
from zoo.statistics.power import compute_detectable_effect, estimate_pairs

Verdict = Literal["better", "worse", "equal", "undecided", "diverged"]
Values = Mapping[int, float]
"""Values by seed; not finite for a run that diverged."""
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """The comparison of an arm with another, paired by seed. Unknown values are NaN or None.

    ``verdict`` is None where there are fewer than two pairs and none diverged. ``equivalence_p`` is adjusted too.
    ``better_chance`` is the chance that on a new seed the arm is better than the other. Of ``seeds`` with an outcome
    some ``diverged``, and of the other's ``other_diverged``; these are in no difference, and there is no p.
    ``level`` is the error allowed to this comparison alone, by the strictest step of the correction.
    ``most`` is 0 where all pairs are judged at once. Else a verdict was looked for after each pair, up to that number:
    ``differences`` are those looked at, ``interval`` is that of the sequential rule, there is no p, and ``verdict`` is
    None as long as seeds are to be added.
    """

    verdict: Verdict | None
    differences: tuple[float, ...]
    interval: Interval | None
    p: float
    adjusted_p: float
    equivalence_p: float
    better_chance: float
    seeds: int
    diverged: int
    other_diverged: int
    margin: float | None
    level: float
    most: int = 0

    @property
    def pairs(self) -> int:
        """Seeds on which both finished with a finite value."""
        return len(self.differences)

    @property
    def alike(self) -> bool:
        """True if all differences are equal, so that their spread is unknown."""
        return self.pairs > 0 and has_no_spread(self.differences)

    @cached_property
    def bootstrap(self) -> Interval | None:
        """Bootstrap interval of the difference; None for fewer than ten pairs."""
        return compute_bootstrap_interval(self.differences)

    @cached_property
    def smallest(self) -> float:
        """Smallest effect that a test of as many pairs with the same spread detects with 80 % power."""
        known = self.pairs > 1 and not self.alike and not self.most
        if not known:
            return math.nan
        return compute_detectable_effect(compute_deviation(self.differences), self.pairs, self.level)

    @cached_property
    def more_pairs(self) -> int | None:
        """Estimated number of additional seeds for a verdict at 80 % power; None if not undecided, or over 1,000."""
        if self.verdict != "undecided" or self.other_diverged or self.alike or self.most:
            return None
        effect = sum(self.differences) / self.pairs
        needed = estimate_pairs(effect, compute_deviation(self.differences), self.margin, self.level)
        return None if needed is None else max(1, needed - self.pairs)


def compare(
    pairs: Mapping[Name, tuple[Values, Values]],
    *,
    higher_is_better: bool,
    margin: float | None = None,
    error: float = 0.05,
) -> dict[Name, Comparison]:
    """Compares each arm with its counterpart and corrects for multiple comparisons (Holm 1979).

    All comparisons form one family: the probability of any false "better" or "worse" is at most ``error``. "Equal"
    takes precedence over "better" and "worse", since a difference within the margin is too small to matter.

    Args:
        pairs: Values of the arm and of the arm it is compared with, by name, for all planned comparisons.
        higher_is_better: True if larger values of the metric are better.
        margin: Largest difference that counts as equal; None for no test of equivalence.
        error: Family-wise error of claims of a difference, and separately of claims of equality.

    Raises:
        Refused: if ``margin`` is not above 0, or ``error`` not between 0 and 1.
    """
    require(0 < error < 1, f"error must be between 0 and 1: got error={error}")
    require(margin is None or margin > 0, f"margin must be above 0: got margin={margin}")
    gaps_by_name = {name: compute_differences(*pair) for name, pair in pairs.items()}
    sound = [
        () if count_diverged(arm) or count_diverged(other) else gaps_by_name[name]
        for name, (arm, other) in pairs.items()
    ]
    raw = [compute_difference_p(gaps) for gaps in sound]
    adjusted = adjust_p_values(raw)
    equal = adjust_p_values([math.nan if margin is None else compute_equivalence_p(gaps, margin) for gaps in sound])
    comparisons = {}
    for place, (name, (arm, other)) in enumerate(pairs.items()):
        gaps = gaps_by_name[name]
        one = Comparison(
            verdict=None,
            differences=gaps,
            interval=compute_mean_interval(gaps) if gaps else None,
            p=raw[place],
            adjusted_p=adjusted[place],
            equivalence_p=equal[place],
            better_chance=compute_better_chance(gaps, higher_is_better),
            seeds=len(arm),
            diverged=count_diverged(arm),
            other_diverged=count_diverged(other) if arm else 0,
            margin=margin,
            level=error / len(pairs),
        )
        comparisons[name] = replace(one, verdict=_decide_verdict(one, higher_is_better, error))
    return comparisons


def _decide_verdict(one: Comparison, higher_is_better: bool, error: float) -> Verdict | None:
    if one.diverged:
        return "diverged"
    if one.other_diverged:
        return "undecided"
    if one.pairs < 2 or one.interval is None:
        return None
    if one.equivalence_p <= error:
        return "equal"
    if one.adjusted_p <= error:
        return "better" if (one.interval.mean > 0) is higher_is_better else "worse"
    return "undecided"


def compute_better_chance(gaps: Sequence[float], higher_is_better: bool) -> float:
    """Computes the probability that the next difference is in the better direction; NaN for fewer than two."""
    above = predict_probability_above(gaps)
    return above if higher_is_better else 1 - above


def compute_differences(arm: Values, other: Values) -> tuple[float, ...]:
    """Computes the differences on shared seeds, in ascending order, where both values are finite."""
    gaps = (arm[seed] - other[seed] for seed in sorted(arm.keys() & other.keys()))
    return tuple(gap for gap in gaps if math.isfinite(gap))


def count_diverged(values: Values) -> int:
    """Counts the values that are not finite."""
    return sum(not math.isfinite(value) for value in values.values())
