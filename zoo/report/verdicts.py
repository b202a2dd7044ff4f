"""Verdicts in words: the answer against a baseline, and what the design could have found."""

from __future__ import annotations

import math
from collections.abc import Iterable

from zoo.report.format import amount, difference, probability, with_spread
from zoo.report.metrics import Metric
from zoo.report.table import Table
from zoo.statistics import Comparison

_SAID = {
    "better": "is better",
    "worse": "is worse",
    "equal": "is equal",
    "undecided": "is undecided",
    "diverged": "diverged",
    None: "has no verdict",
}


def judged(table: Table, named: int = 3) -> str:
    """What is better and what is worse than the baseline; empty where nothing is compared yet."""
    found = [(row.arm, one) for row in table.rows if (one := table.compared(row)) and (one.verdict or one.pairs)]
    if table.baseline is None or not found:
        return ""
    metric = table.metrics[0]
    against = (
        f"the baseline {table.baseline.arm} ({metric.label} {with_spread(metric, table.baseline.cells[0].interval)})"
    )
    told = []
    for verdict, said in _SAID.items():
        arms = [(arm, one) for arm, one in found if one.verdict == verdict]
        told += [f"{arm} {said} ({_numbers(metric, one)})" for arm, one in arms[:named]]
        told += [f"and {len(arms) - named} more {said.removeprefix('is ')}"] if len(arms) > named else []
    decided = any(one.verdict in ("better", "worse", "equal") for _, one in found)
    lead = "against" if decided else "nothing is decided against"
    return f"On {table.task.name}, {lead} {against}: {'; '.join(told)}."


def _numbers(metric: Metric, one: Comparison) -> str:
    """What the verdict rests on."""
    unit = "\N{NO-BREAK SPACE}points" if metric.percent else ""
    parts = [f"{difference(metric, one.interval)}{unit}"] if one.interval and one.verdict != "diverged" else []
    if one.verdict in ("better", "worse"):
        parts.append(f"adjusted p {probability(one.adjusted_p)}")
    if one.verdict == "equal" and one.margin:
        parts.append(f"within {amount(metric, one.margin)}")
    return ", ".join([*parts, *filter(None, [missing(one)])])


def missing(one: Comparison) -> str:
    """What a comparison lacks for better, worse or equal; empty where it lacks nothing."""
    if one.verdict == "diverged":
        return f"{one.diverged} of {_seeds(one.seeds)}"
    if one.baseline_diverged:
        return f"the baseline diverged on {_seeds(one.baseline_diverged)}"
    if one.verdict is None:
        return "one pair of seeds" if one.pairs else "no pair of seeds"
    if one.verdict != "undecided":
        return ""
    if one.alike:
        return "all pairs differ by the same amount"
    return (
        "over 1,000 more seeds needed" if one.more_pairs is None else f"about {_seeds(one.more_pairs, 'more ')} needed"
    )


def _seeds(number: int, more: str = "") -> str:
    return f"{number} {more}{'seed' if number == 1 else 'seeds'}"


def design(table: Table) -> str:
    """The noise of the baseline and the smallest effects that the study could find; empty where nothing is compared."""
    family, baseline = table.family, table.baseline
    if family is None or baseline is None or math.isnan(family.noise):
        return ""
    metric, arms = table.metrics[0], len(family.comparisons)
    noise = f"the {metric.label} of {baseline.arm} has a standard deviation of {amount(metric, family.noise)}"
    told = f"Noise floor: over seeds, {noise}."
    found = sorted((one.smallest, arm) for arm, one in family.comparisons.items() if not math.isnan(one.smallest))
    if found:
        corrected = f", corrected for {arms} arms" if arms > 1 else ""
        ends = dict.fromkeys(f"{amount(metric, effect)} for {arm}" for effect, arm in (found[0], found[-1]))
        told += (
            f" Smallest detectable effect, found in 4 of 5 such studies (5\N{NO-BREAK SPACE}% error{corrected}): "
            f"{' to '.join(ends)}."
        )
    return told + (f" Margin of equality: {amount(metric, family.margin)}." if family.margin else "")


def listed(names: Iterable[str], limit: int = 4) -> str:
    """Names in a sentence."""
    known = list(names)
    if len(known) > limit:
        return f"{', '.join(known[:limit])} and {len(known) - limit} more"
    return " and ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)
