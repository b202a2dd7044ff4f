"""Tasks that were run at several sizes: whether what an arm gains at one survives at the others."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.report.claims.format import difference
from zoo.report.claims.table import Table
from zoo.report.claims.verdicts import listed
from zoo.report.records.metrics import Metric
from zoo.statistics import Comparison

_Found = list[tuple[Table, Comparison]]  # at one size, and what came out there


def by_size(tables: Sequence[Table]) -> dict[str, list[Table]]:
    """Tables of the same task at different sizes, by its name; tasks at one size only are left out."""
    found: dict[str, list[Table]] = {}
    for table in tables:
        if table.task.of and table.task.size:
            found.setdefault(table.task.of, []).append(table)
    return {name: members for name, members in found.items() if len(members) > 1}


def survival(tables: Sequence[Table], named: int = 4) -> list[str]:
    """A sentence a task and arm that is better or worse at one size at least; the first arms of each task."""
    return [told for task, members in by_size(tables).items() for told in _of_task(task, members)[:named]]


def _of_task(task: str, tables: Sequence[Table]) -> list[str]:
    arms = dict.fromkeys(row.arm for table in tables for row in table.rows)
    told = []
    for arm in arms:
        found = [
            (table, one)
            for table in tables
            for row in table.rows
            if row.arm == arm and (one := table.get_comparison(row)) and one.interval
        ]
        if len(found) > 1 and {one.verdict for _, one in found} & {"better", "worse"}:
            told.append(f"On {task}, {_sentence(arm, found)}")
    return told


def _sentence(arm: str, found: _Found) -> str:
    verdicts = {one.verdict for _, one in found}
    what = "gain" if "better" in verdicts else "disadvantage"
    apart = len({table.metrics[0] for table, _ in found}) > 1  # at some sizes, the metric of the study is saturated
    gaps = {table.task.size: _gap(table.metrics[0], one, apart) for table, one in found}
    if len(verdicts) == 1:
        everywhere = ", ".join(f"{gap} at {size}" for size, gap in gaps.items())
        return f"the {what} of {arm} survives: {_verdict(found[0][1])} at every size ({everywhere})."
    told = ", ".join(f"{_verdict(one)} at {table.task.size} ({gaps[table.task.size]})" for table, one in found)
    if verdicts >= {"better", "worse"} or "equal" in verdicts:
        return f"the {what} of {arm} does not survive: {told}."
    seen = listed([table.task.size for table, one in found if one.verdict in ("better", "worse")])
    return f"the {what} of {arm} is certain at {seen} only: {told}."


def _verdict(one: Comparison) -> str:
    return one.verdict or "no verdict"


def _gap(metric: Metric, one: Comparison, named: bool) -> str:
    unit = "\N{NO-BREAK SPACE}points" if metric.percent else ""
    return f"{difference(metric, one.interval)}{unit}{f' of {metric.label}' if named else ''}"
