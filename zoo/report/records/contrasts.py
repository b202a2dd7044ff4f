"""Who is compared with whom: arms with the baseline or another arm, and two changes with what each brings alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zoo.report.records.metrics import Metric
from zoo.report.records.records import Study, Task
from zoo.statistics import Comparison, Values, compare, compare_by_looks, deviation

ERROR = 0.05


@dataclass(frozen=True)
class Interaction:
    """Whether two changes bring more together than apart.

    ``both`` is the arm that has the two, ``one`` and ``other`` are those that have one. What is compared is
    (both - one) - (other - baseline), by seed: the second change with and without the first.
    """

    both: str
    one: str
    other: str
    comparison: Comparison


@dataclass(frozen=True)
class Family:
    """All comparisons of a task by its first metric: of all claims, the chance of any false one is ``error``.

    ``noise`` is the standard deviation of the baseline over its seeds. ``most`` is 0 where all seeds were judged at
    once, else the number after which adding seeds ended.
    """

    comparisons: Mapping[str, Comparison]
    interactions: tuple[Interaction, ...]
    noise: float
    margin: float | None
    error: float = ERROR
    most: int = 0

    @property
    def size(self) -> int:
        """How many comparisons there are."""
        return len(self.comparisons) + len(self.interactions)


def compared(baseline: str | None, against: Mapping[str, str], arms: Iterable[str]) -> dict[str, str]:
    """By arm, the one that it is compared with; only those of which both are there.

    Where the one is not there, what that would have been compared with takes its place.
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


def crossed(
    baseline: str | None, factors: Mapping[str, tuple[str, str]], arms: Iterable[str]
) -> list[tuple[str, str, str]]:
    """Arms of two changes, each with the arms of one change alone; only those of which all are there."""
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


def family(study: Study, task: Task, values: Mapping[str, Values]) -> Family | None:
    """All comparisons of a task; None if nothing can be compared.

    Args:
        study: tells who is compared with whom, and whether seeds were added until that was decided.
        task: its first metric is compared.
        values: by arm and seed; of all arms that apply, in the order of the study.
    """
    metric = Metric.named(task.metrics[0])
    if metric.goal is None or not task.comparable:
        return None
    others = compared(study.baseline, study.against, values)
    triples = crossed(study.baseline, study.factors, values)
    pairs: dict[tuple[str, ...], tuple[Values, Values]] = {}
    pairs |= {(arm,): (values[arm], values[other]) for arm, other in others.items()}
    base = values.get(study.baseline or "", {})
    pairs |= {
        triple: (_less(values[triple[0]], values[triple[1]]), _less(values[triple[2]], base)) for triple in triples
    }
    if not any(other for _, other in pairs.values()):
        return None
    higher, margin = metric.goal == "higher", in_unit(task.margin, metric)
    if study.until_decided:
        told = compare_by_looks(pairs, most=study.most, higher_is_better=higher, margin=margin, error=ERROR)
    else:
        told = compare(pairs, higher_is_better=higher, margin=margin, error=ERROR)
    noise = deviation([value for value in base.values() if math.isfinite(value)])
    return Family(
        {arm: told[(arm,)] for arm in others},
        tuple(Interaction(*triple, told[triple]) for triple in triples),
        noise,
        margin,
        ERROR,
        study.most if study.until_decided else 0,
    )


def in_unit(margin: float | None, metric: Metric) -> float | None:
    """A margin in the unit of the values; a study writes that of a share in points of a percent."""
    return margin / 100 if margin is not None and metric.percent else margin


def _less(one: Values, other: Values) -> dict[int, float]:
    """The difference by seed; not finite where either is not."""
    return {seed: one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())}
