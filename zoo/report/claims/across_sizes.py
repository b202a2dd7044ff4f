"""Comparisons across model sizes: whether a difference at one size holds at the others."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.report.claims.format import format_difference
from zoo.report.claims.table import Table
from zoo.report.claims.verdicts import join_names
from zoo.report.records.metrics import Metric
from zoo.statistics import Comparison

_Findings = list[tuple[Table, Comparison]]  # table of a size, and the comparison at that size


def group_by_size(tables: Sequence[Table]) -> dict[str, list[Table]]:
    """Groups tables of the same task at different sizes by task; tasks of one size are left out."""
    found: dict[str, list[Table]] = {}
    for table in tables:
        if table.task.of and table.task.size:
            found.setdefault(table.task.of, []).append(table)
    return {name: members for name, members in found.items() if len(members) > 1}


def compare_sizes(tables: Sequence[Table], named: int = 4) -> list[str]:
    """Describes each arm that is better or worse at some size, for up to ``named`` arms of each task."""
    groups = group_by_size(tables)
    return [sentence for task, members in groups.items() for sentence in _compare_task(task, members)[:named]]


def _compare_task(task: str, tables: Sequence[Table]) -> list[str]:
    arms = dict.fromkeys(row.arm for table in tables for row in table.rows)
    sentences = []
    for arm in arms:
        found = [
            (table, one)
            for table in tables
            for row in table.rows
            if row.arm == arm and (one := table.get_comparison(row)) and one.interval
        ]
        if len(found) > 1 and {one.verdict for _, one in found} & {"better", "worse"}:
            sentences.append(f"On {task}, {_format_sentence(arm, found)}")
    return sentences


def _format_sentence(arm: str, found: _Findings) -> str:
    verdicts = {one.verdict for _, one in found}
    effect = "gain" if "better" in verdicts else "disadvantage"
    apart = len({table.metrics[0] for table, _ in found}) > 1  # a saturated metric is replaced at some sizes
    gaps = {table.task.size: _format_gap(table.metrics[0], one, apart) for table, one in found}
    if len(verdicts) == 1:
        everywhere = ", ".join(f"{gap} at {size}" for size, gap in gaps.items())
        return f"the {effect} of {arm} holds: {_get_verdict(found[0][1])} at every size ({everywhere})."
    details = ", ".join(f"{_get_verdict(one)} at {table.task.size} ({gaps[table.task.size]})" for table, one in found)
    if verdicts >= {"better", "worse"} or "equal" in verdicts:
        return f"the {effect} of {arm} does not hold: {details}."
    seen = join_names([table.task.size for table, one in found if one.verdict in ("better", "worse")])
    return f"the {effect} of {arm} is certain at {seen} only: {details}."


def _get_verdict(one: Comparison) -> str:
    return one.verdict or "no verdict"


def _format_gap(metric: Metric, one: Comparison, named: bool) -> str:
    unit = "\N{NO-BREAK SPACE}points" if metric.percent else ""
    return f"{format_difference(metric, one.interval)}{unit}{f' of {metric.label}' if named else ''}"
