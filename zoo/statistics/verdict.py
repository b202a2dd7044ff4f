"""Verdicts: a family of comparisons, each of one arm with another, by one metric."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeVar

from zoo.checks import require
from zoo.statistics.interval import Interval, bootstrap_interval, deviation, mean_interval, no_spread
from zoo.statistics.paired import difference_p, equivalence_p, holm, probability_above
from zoo.statistics.power import detectable, pairs_to_decide

Verdict = Literal["better", "worse", "equal", "undecided", "diverged"]
Values = Mapping[int, float]
"""By seed; not finite for a seed that diverged."""
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """One arm against another, paired by seed. What cannot be told is NaN or None.

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
        """Whether all differences are the same number, so that nothing is known of their spread."""
        return self.pairs > 0 and no_spread(self.differences)

    @cached_property
    def bootstrap(self) -> Interval | None:
        """The bootstrap interval of the difference, from ten pairs on; computed when asked for."""
        return bootstrap_interval(self.differences)

    @cached_property
    def smallest(self) -> float:
        """The smallest detectable effect: that so many pairs, judged at once, find with 80 % power at their spread."""
        known = self.pairs > 1 and not self.alike and not self.most
        return detectable(deviation(self.differences), self.pairs, self.level) if known else math.nan

    @cached_property
    def more_pairs(self) -> int | None:
        """How many more seeds would decide at 80 % power if all is as seen; None if not undecided, or over 1,000."""
        if self.verdict != "undecided" or self.other_diverged or self.alike or self.most:
            return None
        effect = sum(self.differences) / self.pairs
        needed = pairs_to_decide(effect, deviation(self.differences), self.margin, self.level)
        return None if needed is None else max(1, needed - self.pairs)


def compare(
    pairs: Mapping[Name, tuple[Values, Values]],
    *,
    higher_is_better: bool,
    margin: float | None = None,
    error: float = 0.05,
) -> dict[Name, Comparison]:
    """Compare each arm with its other, and correct for how many comparisons there are (Holm 1979).

    They are one family, whoever is compared with whom: of all claims "better" or "worse", the chance of any false one
    is ``error``. Equal goes before better and worse: a difference within the margin was said to be too small to matter.

    Args:
        pairs: by name, the values of the arm and those of what it is compared with. All planned, tested or not.
        higher_is_better: what better means.
        margin: differences up to it count as none; without it, nothing is found equal.
        error: of both families of claims: those of a difference, and those of equality.

    Raises:
        Refused: if ``margin`` is not above 0, or ``error`` not between 0 and 1.
    """
    require(0 < error < 1, f"error must be between 0 and 1: got error={error}")
    require(margin is None or margin > 0, f"margin must be above 0: got margin={margin}")
    of_all = {name: differences(*pair) for name, pair in pairs.items()}
    sound = [() if lost(arm) or lost(other) else of_all[name] for name, (arm, other) in pairs.items()]
    raw = [difference_p(gaps) for gaps in sound]
    adjusted = holm(raw)
    equal = holm([math.nan if margin is None else equivalence_p(gaps, margin) for gaps in sound])
    told = {}
    for place, (name, (arm, other)) in enumerate(pairs.items()):
        gaps = of_all[name]
        one = Comparison(
            verdict=None,
            differences=gaps,
            interval=mean_interval(gaps) if gaps else None,
            p=raw[place],
            adjusted_p=adjusted[place],
            equivalence_p=equal[place],
            better_chance=better_chance(gaps, higher_is_better),
            seeds=len(arm),
            diverged=lost(arm),
            other_diverged=lost(other) if arm else 0,
            margin=margin,
            level=error / len(pairs),
        )
        told[name] = replace(one, verdict=_verdict(one, higher_is_better, error))
    return told


def _verdict(one: Comparison, higher_is_better: bool, error: float) -> Verdict | None:
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


def better_chance(gaps: Sequence[float], higher_is_better: bool) -> float:
    """The chance that the next difference is on the better side; NaN for fewer than two."""
    above = probability_above(gaps)
    return above if higher_is_better else 1 - above


def differences(arm: Values, other: Values) -> tuple[float, ...]:
    """In the order of seeds, where both are finite."""
    gaps = (arm[seed] - other[seed] for seed in sorted(arm.keys() & other.keys()))
    return tuple(gap for gap in gaps if math.isfinite(gap))


def lost(values: Values) -> int:
    """How many diverged."""
    return sum(not math.isfinite(value) for value in values.values())
