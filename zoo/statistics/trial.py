"""A trial: an arm that gets seed after seed until the sequential rule has a verdict on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from zoo.statistics.interval import Interval
from zoo.statistics.sequential import decide
from zoo.statistics.verdict import Comparison, Name, Values, Verdict, better_chance, differences, lost


@dataclass(frozen=True)
class Trial:
    """Where a trial stands: ``verdict`` is None where it goes on.

    Attributes:
        last: the seed that gave the verdict, or the last one looked at; None before the first.
        interval: of the difference, after the pairs looked at; None before the first.
    """

    verdict: Verdict | None
    last: int | None
    pairs: int
    interval: Interval | None


def trial(
    arm: Mapping[int, float],
    other: Mapping[int, float],
    *,
    most: int,
    higher_is_better: bool,
    margin: float | None = None,
    arms: int = 1,
    error: float = 0.05,
) -> Trial:
    """The first verdict that seeds give in ascending order; later seeds, run for other trials, do not change it.

    An arm that diverges has its verdict by that. One whose partner diverges is undecided, as there is nothing to
    compare it with. A seed that one of the two has no value of is in no pair.

    Args:
        arm: values by seed, not finite where it diverged.
        other: the same of what it is compared with.
        most: pairs after which it ends in any case.
        higher_is_better: what better means.
        margin: differences up to it count as none.
        arms: how many are compared in this family; each has its share of the error.
        error: the chance of any false verdict over all looks and arms.

    Raises:
        Refused: as :func:`zoo.statistics.sequential.decide` does.
    """
    pairs: list[tuple[int, float]] = []
    ended: Trial | None = None
    for seed in sorted(arm.keys() | other.keys()):
        one, two = arm.get(seed), other.get(seed)
        if one is not None and not math.isfinite(one):
            ended = Trial("diverged", seed, len(pairs), None)
            break
        if two is not None and not math.isfinite(two):
            ended = Trial("undecided", seed, len(pairs), None)
            break
        if one is not None and two is not None:
            pairs.append((seed, one - two))
    if not pairs:
        return ended or Trial(None, None, 0, None)
    differences = [difference for _, difference in pairs]
    look = decide(differences, most=most, higher_is_better=higher_is_better, margin=margin, arms=arms, error=error)
    if look.verdict is None and ended is not None:
        return Trial(ended.verdict, ended.last, look.pairs, look.interval)
    return Trial(look.verdict, pairs[look.pairs - 1][0], look.pairs, look.interval)


def compare_by_looks(
    pairs: Mapping[Name, tuple[Values, Values]],
    *,
    most: int,
    higher_is_better: bool,
    margin: float | None = None,
    error: float = 0.05,
) -> dict[Name, Comparison]:
    """What :func:`zoo.statistics.verdict.compare` tells, where seeds are added until there is a verdict.

    Each comparison is a :func:`trial` with its share of the error, so that of all verdicts the chance of any false one
    is ``error``, whenever one looks. Differences are those up to the verdict; there is no p.

    Args:
        pairs: by name, the values of the arm and those of what it is compared with. All planned.
        most: pairs after which a trial ends in any case.
        higher_is_better: what better means.
        margin: differences up to it count as none.
        error: the chance of any false verdict.

    Raises:
        Refused: as :func:`zoo.statistics.sequential.decide` does.
    """
    told = {}
    for name, (arm, other) in pairs.items():
        found = trial(
            arm, other, most=most, higher_is_better=higher_is_better, margin=margin, arms=len(pairs), error=error
        )
        gaps = differences(arm, other)[: found.pairs]
        told[name] = Comparison(
            verdict=found.verdict,
            differences=gaps,
            interval=found.interval,
            p=math.nan,
            adjusted_p=math.nan,
            equivalence_p=math.nan,
            better_chance=better_chance(gaps, higher_is_better),
            seeds=len(arm),
            diverged=lost(arm) if found.verdict == "diverged" else 0,
            other_diverged=lost(other) if arm and found.verdict == "undecided" and found.pairs < most else 0,
            margin=margin,
            level=error / len(pairs),
            most=most,
        )
    return told
