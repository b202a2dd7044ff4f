"""Sentences about verdicts: which arms are better or worse than their reference, by how much and how certainly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from zoo.report.claims.format import format_amount, format_difference, format_mean, format_probability, format_size
from zoo.report.claims.table import Table
from zoo.report.records.contrasts import Interaction
from zoo.report.records.metrics import Metric
from zoo.statistics import Comparison

MANY = 6  # number of comparisons from which on the answer begins with the count of each verdict
_DECIDED = ("better", "worse", "equal")
_ORDER = (*_DECIDED, "undecided", "diverged", None)
_Judgment = tuple[str, str, Comparison]  # arm, reference and their comparison


def format_verdicts(table: Table, named: int = 3) -> str:
    """Describes the verdicts of a table; empty if nothing is compared yet.

    Args:
        table: table of a task.
        named: number of arms that are named for each verdict.
    """
    found = [
        (row.arm, row.against, one)
        for row in table.rows
        if (one := table.get_comparison(row)) and (one.verdict or one.pairs)
    ]
    if not found:
        return ""
    groups: dict[tuple[int, str, str], list[_Judgment]] = {}
    for arm, other, one in found:
        groups.setdefault((_ORDER.index(one.verdict), other, _get_obstacle(one)), []).append((arm, other, one))
    metric = table.metrics[0]
    ordered = [sorted(groups[key], key=_get_sort_key) for key in sorted(groups, key=lambda key: key[0])]
    sentences = [_format_group(metric, members, named) for members in ordered]
    sentences += format_interactions(table)[:named]
    lead = f"On {table.task.name}, judged by {metric.label}, "
    if len(found) >= MANY:
        lead += f"{_format_counts(found)}: "
    elif not any(one.verdict in _DECIDED for *_, one in found):
        lead += "no comparison is decided: "
    return f"{lead}{'; '.join(sentences)}.{_format_reference(table)}"


def _get_sort_key(member: _Judgment) -> float:
    """Returns a key that sorts by the size of the difference, largest first, so that the arms named differ most."""
    gap = member[2].interval
    return 0.0 if gap is None else -abs(gap.mean)


def _format_group(metric: Metric, members: Sequence[_Judgment], named: int) -> str:
    """Describes the arms with one verdict against one reference."""
    (_, other, first), shown = members[0], members[:named]
    names = join_names([arm for arm, *_ in members], named)
    several = len(members) > 1
    gaps = [one.interval for *_, one in shown if one.interval]
    signed = join_names([format_difference(metric, gap) for gap in gaps], named) + _format_unit(metric) if gaps else ""
    sizes = join_names([format_size(metric, gap) for gap in gaps], named) + _format_unit(metric) if gaps else ""
    sure, pairs = _format_evidence([one for *_, one in members]), _format_pairs([one for *_, one in members])
    if first.verdict == "better":
        return f"{names} {'beat' if several else 'beats'} {other} by {sizes} ({sure}{pairs})"
    if first.verdict == "worse":
        return f"{names} {'are' if several else 'is'} worse than {other} by {sizes} ({sure}{pairs})"
    if first.verdict == "equal":
        margin = format_amount(metric, first.margin or 0.0)
        return f"{names} {'are' if several else 'is'} equivalent to {other} within {margin} ({signed}, {pairs})"
    if first.verdict == "diverged":
        return f"{names} diverged {join_names([explain_missing_verdict(one) for *_, one in shown], named)}"
    why = (
        explain_missing_verdict(first)
        if not several or _get_obstacle(first)
        else _format_needed_seeds([one for *_, one in members])
    )
    if gaps:  # the number of seeds is given once
        why = f"{signed}; {why}" if first.most or first.verdict is None else f"{signed}, {pairs}; {why}"
    if first.verdict == "undecided":
        return f"{names} {'are' if several else 'is'} undecided against {other} ({why})"
    return f"{names} {'have' if several else 'has'} no verdict against {other} yet ({why})"


def _format_counts(found: Sequence[_Judgment]) -> str:
    """Counts the arms of each verdict."""
    others = {other for _, other, _ in found}
    other = others.pop() if len(others) == 1 else "their references"
    said: dict[str | None, Callable[[bool], str]] = {
        "better": lambda one: f"{'beats' if one else 'beat'} {other}",
        "worse": lambda one: f"{'is' if one else 'are'} worse",
        "equal": lambda one: f"{'is' if one else 'are'} equivalent",
        "undecided": lambda one: f"{'is' if one else 'are'} undecided",
        "diverged": lambda _: "diverged",
        None: lambda one: f"{'has' if one else 'have'} no verdict yet",
    }
    numbers = {verdict: sum(one.verdict == verdict for *_, one in found) for verdict in _ORDER}
    parts = [f"{number} {said[verdict](number == 1)}" for verdict, number in numbers.items() if number]
    if not numbers["better"]:
        parts.insert(0, f"no arm {said['better'](True)}")
    return f"of {len(found)} arms {join_names(parts, len(parts))}"


def format_interactions(table: Table) -> list[str]:
    """Describes the interaction of each pair of changes that some arm combines."""
    interactions = table.family.interactions if table.family else ()
    return [_format_interaction(table.metrics[0], each) for each in interactions]


def _format_interaction(metric: Metric, each: Interaction) -> str:
    one, pair = each.comparison, f"{each.one} and {each.other}"
    if one.interval is None or one.verdict == "diverged":
        return f"the interaction of {pair} is not known"
    if one.verdict in ("better", "worse"):
        gap = f"{format_size(metric, one.interval)}{_format_unit(metric)} {one.verdict}"
        evidence = f"{_format_evidence([one])}{_format_pairs([one])}"
        return f"the joint effect of {pair} is {gap} than the sum of their separate effects ({evidence})"
    gap = f"{format_difference(metric, one.interval)}{_format_unit(metric)}, {_format_pairs([one])}"
    if one.verdict == "equal":
        return f"the effects of {pair} are additive within {format_amount(metric, one.margin or 0.0)} ({gap})"
    return f"the interaction of {pair} is undecided ({gap})"


def _format_reference(table: Table) -> str:
    """Gives the value of the reference if all comparisons share one."""
    rows = [row for row in table.rows if row.arm in table.others]
    metric = table.metrics[0]
    sentence = f" {rows[0].arm} reaches {format_mean(metric, rows[0].cells[0].interval)}." if len(rows) == 1 else ""
    return sentence if rows and rows[0].cells[0].interval else ""


def _format_evidence(found: Sequence[Comparison]) -> str:
    """Formats the evidence for verdicts: the adjusted p, or that seeds were added until they were decided."""
    if found[0].most:
        return "decided after "
    worst = max(one.adjusted_p for one in found)
    return f"adjusted p {'at most ' if len(found) > 1 and worst >= 0.001 else ''}{format_probability(worst)}, "


def _format_pairs(found: Sequence[Comparison]) -> str:
    numbers = [one.pairs for one in found]
    return _format_seeds(min(numbers)) if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)} seeds"


def _get_obstacle(one: Comparison) -> str:
    """Returns why there is no verdict, unless more seeds are needed; empty if there is one."""
    needed = one.verdict == "undecided" and not one.other_diverged and not one.alike and not one.most
    return "" if needed or one.verdict in (*_DECIDED, "diverged") else explain_missing_verdict(one)


def explain_missing_verdict(one: Comparison) -> str:
    """Explains what a comparison lacks for better, worse or equal; empty if it lacks nothing."""
    if one.verdict == "diverged":
        return f"on {one.diverged} of {_format_seeds(one.seeds)}"
    if one.other_diverged:
        return f"the reference diverged on {_format_seeds(one.other_diverged)}"
    if one.most and one.verdict is None:
        return f"{one.pairs} of at most {one.most} seeds so far"
    if one.most and one.verdict == "undecided":
        return f"the maximum of {one.most} seeds is reached"
    if one.verdict is None:
        return "only one pair of seeds" if one.pairs else "no pair of seeds"
    if one.verdict != "undecided":
        return ""
    return "all pairs differ by the same amount" if one.alike else _format_needed_seeds([one])


def _format_needed_seeds(found: Sequence[Comparison]) -> str:
    """Estimates the number of further seeds that would decide."""
    numbers = [one.more_pairs for one in found]
    known = [number for number in numbers if number is not None]
    if not known:
        return "over 1,000 more seeds needed"
    if len(known) < len(numbers):
        return f"from about {min(known)} to over 1,000 more seeds needed"
    low, high = min(known), max(known)
    return f"about {_format_seeds(low, 'more ')} needed" if low == high else f"about {low} to {high} more seeds needed"


def _format_unit(metric: Metric) -> str:
    return "\N{NO-BREAK SPACE}points" if metric.percent else ""


def _format_seeds(number: int, more: str = "") -> str:
    return f"{number} {more}{'seed' if number == 1 else 'seeds'}"


def format_design(table: Table) -> str:
    """Describes the statistical design: noise of the baseline, detectable effects, margin and decision rule."""
    family = table.family
    if family is None or table.baseline is None or math.isnan(family.noise):
        return ""
    metric = table.metrics[0]
    noise = (
        f"the {metric.label} of {table.baseline.arm} has a standard deviation of {format_amount(metric, family.noise)}"
    )
    parts = [f"Noise floor: over seeds, {noise}."]
    corrected = f", corrected for {family.size} comparisons" if family.size > 1 else ""
    found = sorted((one.smallest, arm) for arm, one in family.comparisons.items() if not math.isnan(one.smallest))
    if found:
        ends = dict.fromkeys(f"{format_amount(metric, effect)} for {arm}" for effect, arm in (found[0], found[-1]))
        wanted = f"Minimum detectable effect at 80\N{NO-BREAK SPACE}% power (5\N{NO-BREAK SPACE}% error{corrected})"
        parts.append(f"{wanted}: {' to '.join(ends)}.")
    if family.margin:
        parts.append(f"Equivalence margin: {format_amount(metric, family.margin)}.")
    if family.max_seeds:
        parts.append(
            f"Rule: seeds were added until each comparison had a verdict, up to {family.max_seeds}. The intervals are "
            "valid at every look (a confidence sequence from a mixture martingale: Lai 1976; Wang and Ramdas 2023, "
            f"arXiv:2310.03722), with 5\N{NO-BREAK SPACE}% error over all looks{corrected}."
        )
    else:
        parts.append("Rule: paired t-tests after all seeds" + (", with Holm's correction." if family.size > 1 else "."))
    return " ".join(parts)


def join_names(names: Iterable[str], limit: int = 4) -> str:
    """Joins names for a sentence, the first ``limit`` of them if there are more."""
    known = list(names)
    comma = "; " if any(", " in name for name in known) else ", "
    if len(known) > limit:
        return f"{comma.join(known[:limit])} and {len(known) - limit} more"
    return " and ".join([comma.join(known[:-1]), known[-1]] if len(known) > 1 else known)
