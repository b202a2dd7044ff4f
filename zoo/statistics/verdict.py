"""Verdicts: all arms of a table against its baseline, by one metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from zoo.checks import require
from zoo.statistics.interval import Interval, bootstrap_interval, deviation, mean_interval, no_spread
from zoo.statistics.paired import difference_p, equivalence_p, holm, probability_above
from zoo.statistics.power import detectable, pairs_to_decide

Verdict = Literal["better", "worse", "equal", "undecided", "diverged"]


@dataclass(frozen=True)
class Comparison:
    """One arm against the baseline, paired by seed. What cannot be told is NaN or None.

    ``verdict`` is None where there are fewer than two pairs and none diverged. ``equivalence_p`` is adjusted too.
    ``better_chance`` is the chance that on a new seed the arm is better than the baseline. Of ``seeds`` with an outcome
    some ``diverged``, and of the baseline's ``baseline_diverged``; these are in no difference, and there is no p.
    ``level`` is the error allowed to this arm alone, by the strictest step of the correction.
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
    baseline_diverged: int
    margin: float | None
    level: float

    @property
    def pairs(self) -> int:
        """Seeds on which both finished with a finite value."""
        return len(self.differences)

    @property
    def alike(self) -> bool:
        """Whether all differences are the same number, so that nothing is known of their spread."""
        return self.pairs > 0 and no_spread(self.differences)

    @property
    def bootstrap(self) -> Interval | None:
        """The bootstrap interval of the difference, from ten pairs on; computed when asked for."""
        return bootstrap_interval(self.differences)

    @property
    def smallest(self) -> float:
        """The smallest detectable effect: that so many pairs find with 80 % power, at the spread seen."""
        known = self.pairs > 1 and not self.alike
        return detectable(deviation(self.differences), self.pairs, self.level) if known else math.nan

    @property
    def more_pairs(self) -> int | None:
        """How many more seeds would decide at 80 % power if all is as seen; None if not undecided, or over 1,000."""
        if self.verdict != "undecided" or self.baseline_diverged or self.alike:
            return None
        effect = sum(self.differences) / self.pairs
        needed = pairs_to_decide(effect, deviation(self.differences), self.margin, self.level)
        return None if needed is None else max(1, needed - self.pairs)


@dataclass(frozen=True)
class Family:
    """All arms against one baseline. Of all claims "better" or "worse", the chance of any false one is ``error``.

    ``noise`` is the standard deviation of the baseline over its seeds.
    """

    comparisons: Mapping[str, Comparison]
    noise: float
    margin: float | None
    error: float


def compare(
    arms: Mapping[str, Mapping[int, float]],
    baseline: Mapping[int, float],
    *,
    higher_is_better: bool,
    margin: float | None = None,
    error: float = 0.05,
) -> Family:
    """Compare every arm with the baseline, and correct for how many arms there are (Holm 1979).

    Equal goes before better and worse: a difference within the margin was said to be too small to matter.

    Args:
        arms: by name, values by seed; not finite for a seed that diverged. All arms planned, tested or not.
        baseline: values by seed.
        higher_is_better: what better means.
        margin: differences up to it count as none; without it, nothing is found equal.
        error: of both families of claims: those of a difference, and those of equality.

    Raises:
        Refused: if ``margin`` is not above 0, or ``error`` not between 0 and 1.
    """
    require(0 < error < 1, f"error must be between 0 and 1: got error={error}")
    require(margin is None or margin > 0, f"margin must be above 0: got margin={margin}")
    pairs = {arm: _differences(values, baseline) for arm, values in arms.items()}
    sound = [() if _lost(arms[arm]) or _lost(baseline) else differences for arm, differences in pairs.items()]
    raw = [difference_p(differences) for differences in sound]
    adjusted = holm(raw)
    equal = holm([math.nan if margin is None else equivalence_p(differences, margin) for differences in sound])
    comparisons = {}
    for place, (arm, differences) in enumerate(pairs.items()):
        above = probability_above(differences)
        comparisons[arm] = Comparison(
            verdict=None,
            differences=differences,
            interval=mean_interval(differences) if differences else None,
            p=raw[place],
            adjusted_p=adjusted[place],
            equivalence_p=equal[place],
            better_chance=above if higher_is_better else 1 - above,
            seeds=len(arms[arm]),
            diverged=_lost(arms[arm]),
            baseline_diverged=_lost(baseline) if arms[arm] else 0,
            margin=margin,
            level=error / len(arms),
        )
    judged = {arm: replace(one, verdict=_verdict(one, higher_is_better, error)) for arm, one in comparisons.items()}
    noise = deviation([value for value in baseline.values() if math.isfinite(value)])
    return Family(judged, noise, margin, error)


def _verdict(one: Comparison, higher_is_better: bool, error: float) -> Verdict | None:
    if one.diverged:
        return "diverged"
    if one.baseline_diverged:
        return "undecided"
    if one.pairs < 2 or one.interval is None:
        return None
    if one.equivalence_p <= error:
        return "equal"
    if one.adjusted_p <= error:
        return "better" if (one.interval.mean > 0) is higher_is_better else "worse"
    return "undecided"


def _differences(values: Mapping[int, float], baseline: Mapping[int, float]) -> tuple[float, ...]:
    """By seed, where both are finite."""
    gaps = (values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys()))
    return tuple(gap for gap in gaps if math.isfinite(gap))


def _lost(values: Mapping[int, float]) -> int:
    return sum(not math.isfinite(value) for value in values.values())
