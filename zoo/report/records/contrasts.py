"""Comparisons of a study: each arm with its reference, and interactions of two changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zoo.report.records.metrics import Metric
from zoo.report.records.records import Study, Task
from zoo.statistics import Comparison, Values, compare, compare_sequentially, compute_deviation

ERROR = 0.05


@dataclass(frozen=True)
class Interaction:
    """Interaction of two changes: whether their joint effect differs from the sum of their effects.

    The comparison is of (both - one) with (other - baseline), paired by seed: the effect of the second change with and
    without the first.

    Attributes:
        both: arm with both changes.
        one: arm with the first change only.
        other: arm with the second change only.
        comparison: comparison of the effects of the second change.
    """

    both: str
    one: str
    other: str
    comparison: Comparison


@dataclass(frozen=True)
class Family:
    """All comparisons of a task by its primary metric, with a family-wise error rate of ``error``.

    Attributes:
        comparisons: comparison of each arm with its reference, by arm.
        interactions: interactions of two changes.
        noise: standard deviation of the baseline over seeds.
        margin: largest difference that counts as equal, in the unit of the values; None without a margin.
        error: probability of any false claim.
        max_seeds: number of seeds at which adding seeds ends; 0 if all seeds are compared at once.
    """

    comparisons: Mapping[str, Comparison]
    interactions: tuple[Interaction, ...]
    noise: float
    margin: float | None
    error: float = ERROR
    max_seeds: int = 0

    @property
    def size(self) -> int:
        """Number of comparisons, interactions included."""
        return len(self.comparisons) + len(self.interactions)


def find_references(baseline: str | None, against: Mapping[str, str], arms: Iterable[str]) -> dict[str, str]:
    """Returns the arm that each arm is compared with, for pairs of which both are in ``arms``.

    If a reference is not in ``arms``, its own reference takes its place.

    Args:
        baseline: reference of all arms that ``against`` does not name.
        against: reference by arm.
        arms: arms that can be compared.
    """
    known = list(arms)
    found = {}
    for arm in (arm for arm in known if arm != baseline):
        other = against.get(arm, baseline)
        while other is not None and other not in known and other != baseline:
            other = against.get(other, baseline)
        if other is not None and other in known:
            found[arm] = other
    return found


def find_interactions(
    baseline: str | None, factors: Mapping[str, tuple[str, str]], arms: Iterable[str]
) -> list[tuple[str, str, str]]:
    """Returns the arms with two changes, each with the two arms that have one of them, if all are in ``arms``."""
    known = list(arms)
    of_levels = {levels: arm for arm, levels in factors.items() if arm in known}
    if baseline not in known:
        return []
    alone = {arm: (of_levels.get((one, "")), of_levels.get(("", other))) for (one, other), arm in of_levels.items()}
    return [
        (both, one, other)
        for both, (one, other) in alone.items()
        if one is not None and other is not None and all(factors[both])
    ]


def compare_arms(study: Study, task: Task, values: Mapping[str, Values]) -> Family | None:
    """Compares the arms of a task by its primary metric; returns None if no comparison is possible.

    Args:
        study: study that determines references and the statistical rule.
        task: task whose first metric is compared.
        values: values by arm and seed, for all applicable arms in the order of the study.
    """
    metric = Metric.from_name(task.metrics[0])
    if metric.goal is None or not task.comparable:
        return None
    others = find_references(study.baseline, study.against, values)
    triples = find_interactions(study.baseline, study.factors, values)
    pairs: dict[tuple[str, ...], tuple[Values, Values]] = {}
    pairs |= {(arm,): (values[arm], values[other]) for arm, other in others.items()}
    base = values.get(study.baseline or "", {})
    for both, one, other in triples:
        pairs[both, one, other] = (subtract_by_seed(values[both], values[one]), subtract_by_seed(values[other], base))
    if not any(other for _, other in pairs.values()):
        return None
    higher, margin = metric.goal == "higher", convert_margin(task.margin, metric)
    if study.until_decided:
        found = compare_sequentially(pairs, most=study.max_seeds, higher_is_better=higher, margin=margin, error=ERROR)
    else:
        found = compare(pairs, higher_is_better=higher, margin=margin, error=ERROR)
    noise = compute_deviation([value for value in base.values() if math.isfinite(value)])
    return Family(
        {arm: found[(arm,)] for arm in others},
        tuple(Interaction(*triple, found[triple]) for triple in triples),
        noise,
        margin,
        ERROR,
        study.max_seeds if study.until_decided else 0,
    )


def convert_margin(margin: float | None, metric: Metric) -> float | None:
    """Converts a margin to the unit of the values; studies give margins of shares in percentage points."""
    return margin / 100 if margin is not None and metric.percent else margin


def subtract_by_seed(one: Values, other: Values) -> dict[int, float]:
    """Subtracts values by seed, for the seeds of both; not finite where either value is not."""
    return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}
