"""The answer so far: a sentence or two a task, computed from its table and claiming no more than it shows."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.report.format import bounds, count, quantity
from zoo.report.metrics import Metric
from zoo.report.table import Row, Table
from zoo.report.verdicts import judged, listed
from zoo.statistics import Interval


def answer(table: Table, named: int = 3) -> str:
    """What the table says about its first metric, in verdicts if there is a baseline.

    ``named`` arms of each verdict, or behind the first, are listed by name.
    """
    task, ranked = table.task, table.ranked
    if not any(row.done for row in table.rows):
        return f"On {task.name}, no run has finished yet."
    if not task.comparable:
        return _not_compared(table)
    if told := judged(table, named):
        unfinished = " Until all are, verdicts are provisional." if any(row.unfinished for row in table.rows) else ""
        return f"{told}{_caveats(table)}{unfinished}"
    if not ranked:
        return f"On {task.name}, no finished run has a finite {_label(table)}."
    first, rest = ranked[0], ranked[1:]
    if not rest or table.metrics[0].goal is None:
        values = "; ".join(_value(table.metrics[0], row) for row in ranked[: named + 1])
        unclear = f" Whether a higher or lower {_label(table)} is better is not known: no ranking." if rest else ""
        return f"On {task.name}, {_label(table)}: {values}.{unclear}{_caveats(table)}"
    level = [row.arm for row in ranked if _interval(row).mean == _interval(first).mean]
    if len(level) > 1:
        value = _value(table.metrics[0], first, False)
        return f"On {task.name}, {listed(level)} are level in {_label(table)}: {value}. {_caveats(table)}".strip()
    rank = "highest" if table.metrics[0].goal == "higher" else "lowest"
    others = "; ".join(_value(table.metrics[0], row) for row in rest[:named])
    more = f"; and {len(rest) - named} more" if len(rest) > named else ""
    lead = f"On {task.name}, {first.arm} has the {rank} {_label(table)}: {_value(table.metrics[0], first, False)}; "
    return f"{lead}{others}{more}. {_decided(first, rest)}{_caveats(table)}"


def budget(table: Table) -> str:
    """How far the arms are apart in what they cost; empty for fewer than two arms with a result."""
    rows = [row for row in table.rows if row.done]
    costs = {
        "parameters": [row.parameters for row in rows if row.parameters],
        "training FLOPs per token": [row.flops_per_token for row in rows if row.flops_per_token],
        "training tokens": [row.tokens for row in rows if row.tokens],
    }
    if len(rows) < 2:
        return ""
    told = [_range(name, values) for name, values in costs.items() if values]
    return f"Budgets: {'; '.join(told)}." if told else ""


def _range(name: str, values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    if low == high:
        return f"{name} equal ({count(low)})"
    return f"{name} from {count(low)} to {count(high)} ({high / low:.2f} times)"


def _label(table: Table) -> str:
    return table.metrics[0].label if table.metrics else "metric"


def _not_compared(table: Table) -> str:
    note = f" {table.task.note}" if table.task.note else ""
    return (
        f"On {table.task.name}, the arms differ in objective or data: their losses measure different things "
        f"and cannot be compared. No ranking is made.{note}"
    )


def _value(metric: Metric, row: Row, brief: bool = True) -> str:
    interval = row.cells[0].interval
    if interval is None:
        return row.arm
    kind = "" if brief else "95\N{NO-BREAK SPACE}% interval "
    seeds = f"{interval.count}\N{NO-BREAK SPACE}seeds"
    certainty = f"{kind}{bounds(metric, interval)}, {seeds}" if interval.known else "one seed"
    return f"{row.arm + ' ' if brief else ''}{quantity(metric, interval.mean)} ({certainty})"


def _decided(first: Row, rest: Sequence[Row]) -> str:
    """Whether the first place is certain: its interval must be apart from all others, and nobody diverged."""
    if first.diverged:
        return f"This is not decided: {first.diverged} of {first.done} finished runs of {first.arm} diverged."
    lone = [row.arm for row in (first, *rest) if not _interval(row).known]
    if lone:
        return f"This is not decided: with one seed there is no interval ({listed(lone)})."
    close = [row.arm for row in rest if _interval(first).overlaps(_interval(row))]
    if close:
        return f"This is not decided: its interval overlaps with {'that' if len(close) == 1 else 'those'} " + (
            f"of {listed(close)}."
        )
    return "Its interval overlaps with no other."


def _interval(row: Row) -> Interval:
    interval = row.cells[0].interval
    if interval is None:
        raise ValueError(f"a ranked row has an interval: got none for {row.arm}")
    return interval


def _caveats(table: Table) -> str:
    """What is missing from the comparison."""
    planned, done = sum(row.planned for row in table.rows), sum(row.done for row in table.rows)
    diverged, failed = sum(row.diverged for row in table.rows), sum(row.failed for row in table.rows)
    parts = [f"{done} of {planned} runs are finished"] if done + failed < planned else []
    parts += [f"{failed} of {planned} failed"] if failed else []
    parts += [f"{diverged} of {done} finished runs diverged and are in no mean"] if diverged else []
    return f" So far, {', '.join(parts)}." if parts else ""
