"""Sequential trials: seeds are added to an arm until the sequential test has a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from zoo.statistics.interval import Interval
from zoo.statistics.sequential import run_sequential_test
from zoo.statistics.verdict import (
    Comparison,
    Name,
    Values,
    Verdict,
    compute_better_chance,
    compute_differences,
    count_diverged,
)


@dataclass(frozen=True)
class Trial:
    """Result of a trial so far: ``verdict`` is None if more seeds are needed.

    Attributes:
        last: Seed that led to the verdict, or the last one considered; None before the first.
        interval: Interval of the difference after the pairs considered; None before the first.
    """

    verdict: Verdict | None
    last: int | None
    pairs: int
    interval: Interval | None


def run_trial(
    arm: Mapping[int, float],
    other: Mapping[int, float],
    *,
    most: int,
    higher_is_better: bool,
    margin: float | None = None,
    arms: int = 1,
    error: float = 0.05,
) -> Trial:
    """Returns the first verdict that the seeds give in ascending order; later seeds do not change it.

    If the arm diverges, the verdict is "diverged"; if only the other arm does, it is "undecided". Seeds that one of the
    two has no value for are ignored.

    Args:
        arm: Values by seed, not finite where the run diverged.
        other: Values of the arm that it is compared with.
        most: Maximum number of pairs.
        higher_is_better: True if larger values of the metric are better.
        margin: Largest difference that counts as equal.
        arms: Number of comparisons in this family, which share the error equally.
        error: Probability of any false verdict over all looks and arms.

    Raises:
        Refused: as :func:`zoo.statistics.sequential.run_sequential_test` does.
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
    look = run_sequential_test(
        differences, most=most, higher_is_better=higher_is_better, margin=margin, arms=arms, error=error
    )
    if look.verdict is None and ended is not None:
        return Trial(ended.verdict, ended.last, look.pairs, look.interval)
    return Trial(look.verdict, pairs[look.pairs - 1][0], look.pairs, look.interval)


def compare_sequentially(
    pairs: Mapping[Name, tuple[Values, Values]],
    *,
    most: int,
    higher_is_better: bool,
    margin: float | None = None,
    error: float = 0.05,
) -> dict[Name, Comparison]:
    """Compares arms like :func:`zoo.statistics.verdict.compare`, with seeds added until there is a verdict.

    Each comparison is a :func:`run_trial` with its share of the error, so that any false verdict has probability at
    most ``error``, however often it is checked. Differences are those up to the verdict; there is no p.

    Args:
        pairs: Values of the arm and of the arm it is compared with, by name, for all planned comparisons.
        most: Maximum number of pairs of a trial.
        higher_is_better: True if larger values of the metric are better.
        margin: Largest difference that counts as equal.
        error: Probability of any false verdict.

    Raises:
        Refused: as :func:`zoo.statistics.sequential.run_sequential_test` does.
    """
    comparisons = {}
    for name, (arm, other) in pairs.items():
        found = run_trial(
            arm, other, most=most, higher_is_better=higher_is_better, margin=margin, arms=len(pairs), error=error
        )
        gaps = compute_differences(arm, other)[: found.pairs]
        comparisons[name] = Comparison(
            verdict=found.verdict,
            differences=gaps,
            interval=found.interval,
            p=math.nan,
            adjusted_p=math.nan,
            equivalence_p=math.nan,
            better_chance=compute_better_chance(gaps, higher_is_better),
            seeds=len(arm),
            diverged=count_diverged(arm) if found.verdict == "diverged" else 0,
            other_diverged=count_diverged(other) if arm and found.verdict == "undecided" and found.pairs < most else 0,
            margin=margin,
            level=error / len(pairs),
            most=most,
        )
    return comparisons
