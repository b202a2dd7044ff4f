"""Verdicts in words: which arms are better or worse than what they are compared with, by how much, and how sure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from zoo.report.claims.format import amount, difference, probability, size, with_spread
from zoo.report.claims.table import Table
from zoo.report.records.contrasts import Interaction
from zoo.report.records.metrics import Metric
from zoo.statistics import Comparison

MANY = 6  # comparisons from which the answer begins with how many there are of each verdict
_DECIDED = ("better", "worse", "equal")
_ORDER = (*_DECIDED, "undecided", "diverged", None)
_Judged = tuple[str, str, Comparison]  # an arm, what it is compared with, and how that came out


def judged(table: Table, named: int = 3) -> str:
    """What came out of every comparison; empty where nothing is compared yet. Of each verdict some arms are named."""
    found = [
        (row.arm, row.against, one)
        for row in table.rows
        if (one := table.get_comparison(row)) and (one.verdict or one.pairs)
    ]
    if not found:
        return ""
    groups: dict[tuple[int, str, str], list[_Judged]] = {}
    for arm, other, one in found:
        groups.setdefault((_ORDER.index(one.verdict), other, _lack(one)), []).append((arm, other, one))
    metric = table.metrics[0]
    told = [
        _group(metric, sorted(groups[key], key=_largest_first), named) for key in sorted(groups, key=lambda key: key[0])
    ]
    told += together(table)[:named]
    lead = f"On {table.task.name}, judged by {metric.label}, "
    if len(found) >= MANY:
        lead += f"{_counted(found)}: "
    elif not any(one.verdict in _DECIDED for *_, one in found):
        lead += "nothing is decided: "
    return f"{lead}{'; '.join(told)}.{_reached(table)}"


def _largest_first(member: _Judged) -> float:
    """Sorts by the size of the difference, so that the arms that are named are those that differ most."""
    gap = member[2].interval
    return 0.0 if gap is None else -abs(gap.mean)


def _group(metric: Metric, members: Sequence[_Judged], named: int) -> str:
    """Arms of one verdict against one other."""
    (_, other, first), shown = members[0], members[:named]
    names = listed([arm for arm, *_ in members], named)
    several = len(members) > 1
    gaps = [one.interval for *_, one in shown if one.interval]
    signed = listed([difference(metric, gap) for gap in gaps], named) + _points(metric) if gaps else ""
    sizes = listed([size(metric, gap) for gap in gaps], named) + _points(metric) if gaps else ""
    sure, pairs = _sure([one for *_, one in members]), _pairs([one for *_, one in members])
    if first.verdict == "better":
        return f"{names} {'beat' if several else 'beats'} {other} by {sizes} ({sure}{pairs})"
    if first.verdict == "worse":
        return f"{names} {'are' if several else 'is'} worse than {other} by {sizes} ({sure}{pairs})"
    if first.verdict == "equal":
        margin = amount(metric, first.margin or 0.0)
        return f"{names} {'equal' if several else 'equals'} {other} within {margin} ({signed}, {pairs})"
    if first.verdict == "diverged":
        return f"{names} diverged {listed([missing(one) for *_, one in shown], named)}"
    why = missing(first) if not several or _lack(first) else _needed([one for *_, one in members])
    if gaps:  # the number of seeds is told once
        why = f"{signed}; {why}" if first.most or first.verdict is None else f"{signed}, {pairs}; {why}"
    if first.verdict == "undecided":
        return f"{names} cannot be told from {other} ({why})"
    return f"{names} {'have' if several else 'has'} no verdict against {other} yet ({why})"


def _counted(found: Sequence[_Judged]) -> str:
    """How many there are of each verdict."""
    others = {other for _, other, _ in found}
    other = others.pop() if len(others) == 1 else "what they are compared with"
    said: dict[str | None, Callable[[bool], str]] = {
        "better": lambda one: f"{'beats' if one else 'beat'} {other}",
        "worse": lambda one: f"{'is' if one else 'are'} worse",
        "equal": lambda one: f"{'is' if one else 'are'} equal",
        "undecided": lambda one: f"{'is' if one else 'are'} undecided",
        "diverged": lambda _: "diverged",
        None: lambda one: f"{'has' if one else 'have'} no verdict yet",
    }
    numbers = {verdict: sum(one.verdict == verdict for *_, one in found) for verdict in _ORDER}
    parts = [f"{number} {said[verdict](number == 1)}" for verdict, number in numbers.items() if number]
    if not numbers["better"]:
        parts.insert(0, f"no arm {said['better'](True)}")
    return f"of {len(found)} arms {listed(parts, len(parts))}"


def together(table: Table) -> list[str]:
    """Of every two changes that were also made together: whether they bring more than apart."""
    interactions = table.family.interactions if table.family else ()
    return [_together(table.metrics[0], each) for each in interactions]


def _together(metric: Metric, each: Interaction) -> str:
    one, pair = each.comparison, f"{each.one} and {each.other}"
    if one.interval is None or one.verdict == "diverged":
        return f"whether {pair} bring more together than apart is not known"
    if one.verdict in ("better", "worse"):
        gain = f"{size(metric, one.interval)}{_points(metric)} {'more' if one.verdict == 'better' else 'less'}"
        return f"together {pair} bring {gain} than apart ({_sure([one])}{_pairs([one])})"
    gap = f"{difference(metric, one.interval)}{_points(metric)}, {_pairs([one])}"
    if one.verdict == "equal":
        return f"what {pair} bring adds up within {amount(metric, one.margin or 0.0)} ({gap})"
    return f"whether {pair} bring more together than apart is undecided ({gap})"


def _reached(table: Table) -> str:
    """The values of what others are compared with, where that is one arm."""
    rows = [row for row in table.rows if row.arm in table.others]
    metric = table.metrics[0]
    told = f" {rows[0].arm} reaches {with_spread(metric, rows[0].cells[0].interval)}." if len(rows) == 1 else ""
    return told if rows and rows[0].cells[0].interval else ""


def _sure(found: Sequence[Comparison]) -> str:
    """What the verdicts rest on."""
    if found[0].most:
        return "decided after "
    worst = max(one.adjusted_p for one in found)
    return f"adjusted p {'at most ' if len(found) > 1 and worst >= 0.001 else ''}{probability(worst)}, "


def _pairs(found: Sequence[Comparison]) -> str:
    numbers = [one.pairs for one in found]
    return _seeds(min(numbers)) if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)} seeds"


def _lack(one: Comparison) -> str:
    """Why there is no verdict, unless it is for lack of seeds; empty where there is one."""
    needed = one.verdict == "undecided" and not one.other_diverged and not one.alike and not one.most
    return "" if needed or one.verdict in (*_DECIDED, "diverged") else missing(one)


def missing(one: Comparison) -> str:
    """What a comparison lacks for better, worse or equal; empty where it lacks nothing."""
    if one.verdict == "diverged":
        return f"on {one.diverged} of {_seeds(one.seeds)}"
    if one.other_diverged:
        return f"what it is compared with diverged on {_seeds(one.other_diverged)}"
    if one.most and one.verdict is None:
        return f"{one.pairs} of at most {one.most} seeds so far"
    if one.most and one.verdict == "undecided":
        return f"{one.most} seeds were the most allowed"
    if one.verdict is None:
        return "one pair of seeds" if one.pairs else "no pair of seeds"
    if one.verdict != "undecided":
        return ""
    return "all pairs differ by the same amount" if one.alike else _needed([one])


def _needed(found: Sequence[Comparison]) -> str:
    """How many more seeds would decide."""
    numbers = [one.more_pairs for one in found]
    known = [number for number in numbers if number is not None]
    if not known:
        return "over 1,000 more seeds needed"
    if len(known) < len(numbers):
        return f"from about {min(known)} to over 1,000 more seeds needed"
    low, high = min(known), max(known)
    return f"about {_seeds(low, 'more ')} needed" if low == high else f"about {low} to {high} more seeds needed"


def _points(metric: Metric) -> str:
    return "\N{NO-BREAK SPACE}points" if metric.percent else ""


def _seeds(number: int, more: str = "") -> str:
    return f"{number} {more}{'seed' if number == 1 else 'seeds'}"


def design(table: Table) -> str:
    """By which rule it was judged, the noise of the baseline, and the smallest effects that could have been found."""
    family = table.family
    if family is None or table.baseline is None or math.isnan(family.noise):
        return ""
    metric = table.metrics[0]
    noise = f"the {metric.label} of {table.baseline.arm} has a standard deviation of {amount(metric, family.noise)}"
    parts = [f"Noise floor: over seeds, {noise}."]
    corrected = f", corrected for {family.size} comparisons" if family.size > 1 else ""
    found = sorted((one.smallest, arm) for arm, one in family.comparisons.items() if not math.isnan(one.smallest))
    if found:
        ends = dict.fromkeys(f"{amount(metric, effect)} for {arm}" for effect, arm in (found[0], found[-1]))
        wanted = f"Smallest detectable effect, found in 4 of 5 such studies (5\N{NO-BREAK SPACE}% error{corrected})"
        parts.append(f"{wanted}: {' to '.join(ends)}.")
    if family.margin:
        parts.append(f"Margin of equality: {amount(metric, family.margin)}.")
    if family.max_seeds:
        parts.append(
            f"Rule: seeds were added until each comparison had a verdict, up to {family.max_seeds}. The intervals are "
            "valid at every look (a confidence sequence from a mixture martingale: Lai 1976; Wang and Ramdas 2023, "
            f"arXiv:2310.03722), with 5\N{NO-BREAK SPACE}% error over all looks{corrected}."
        )
    else:
        parts.append(
            "Rule: paired t-tests once all seeds had run" + (", corrected by Holm." if family.size > 1 else ".")
        )
    return " ".join(parts)


def listed(names: Iterable[str], limit: int = 4) -> str:
    """Names in a sentence."""
    known = list(names)
    comma = "; " if any(", " in name for name in known) else ", "
    if len(known) > limit:
        return f"{comma.join(known[:limit])} and {len(known) - limit} more"
    return " and ".join([comma.join(known[:-1]), known[-1]] if len(known) > 1 else known)
