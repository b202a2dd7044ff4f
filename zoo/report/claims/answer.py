"""The answer so far: a sentence or two a task, computed from its table and claiming no more than it shows."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.report.claims.format import bounds, quantity
from zoo.report.claims.table import Row, Table
from zoo.report.claims.verdicts import judged, listed
from zoo.report.records.metrics import Metric
from zoo.statistics import Interval
from zoo.units import format_count


def answer(table: Table, named: int = 3) -> str:
    """What the table says about its first metric: first what came out and how sure that is, then the rest.

    Before all that, whether the metric that was to decide is at its floor or ceiling.

    ``named`` arms of each verdict, or behind the first, are listed by name.
    """
    task = table.task
    if not any(row.done for row in table.rows):
        return f"On {task.name}, no run has finished yet."
    if not task.comparable:
        return _not_compared(table)
    lead = f"On {task.name}, {table.saturated.sentence} " if table.saturated else ""
    if told := judged(table, named):
        unfinished = " Until all are, verdicts are provisional." if any(row.unfinished for row in table.rows) else ""
        return f"{lead}{told}{_caveats(table)}{unfinished}"
    if not table.ranked:
        return f"On {task.name}, no finished run has a finite {_label(table)}."
    return f"{lead}{_ranking(table, named)}{_caveats(table)}"


def _ranking(table: Table, named: int) -> str:
    """Where there is no baseline: who is first, and whether that is certain."""
    task, metric, (first, *rest) = table.task, table.metrics[0], table.ranked
    if not rest or metric.goal is None:
        values = "; ".join(_value(metric, row) for row in table.ranked[: named + 1])
        unclear = f" Whether a higher or lower {_label(table)} is better is not known: no ranking." if rest else ""
        return f"On {task.name}, {_label(table)}: {values}.{unclear}"
    level = [row.arm for row in (first, *rest) if _interval(row).mean == _interval(first).mean]
    if len(level) > 1:
        return f"On {task.name}, {listed(level)} are level in {_label(table)}: {_value(metric, first, False)}."
    rank = "highest" if metric.goal == "higher" else "lowest"
    others = "; ".join(_value(metric, row) for row in rest[:named])
    more = f"; and {len(rest) - named} more" if len(rest) > named else ""
    lead = f"On {task.name}, {first.arm} has the {rank} {_label(table)}, {_decided(first, rest)}"
    return f"{lead}: {_value(metric, first, False)}. Behind it: {others}{more}."


def _decided(first: Row, rest: Sequence[Row]) -> str:
    """Whether the first place is certain: its interval must be apart from all others, and nobody diverged."""
    if first.diverged:
        return f"but this is not decided, for {first.diverged} of its {first.done} finished runs diverged"
    lone = [row.arm for row in (first, *rest) if not _interval(row).known]
    if lone:
        return f"but this is not decided, for with one seed there is no interval ({listed(lone)})"
    close = [row.arm for row in rest if _interval(first).overlaps(_interval(row))]
    if close:
        whose = "that" if len(close) == 1 else "those"
        return f"but this is not decided, for its interval overlaps with {whose} of {listed(close)}"
    return "and its interval overlaps with no other"


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
        return f"{name} equal ({format_count(low)})"
    return f"{name} from {format_count(low)} to {format_count(high)} ({high / low:.2f} times)"


def moved(table: Table) -> list[str]:
    """What was moved in each arm so that it costs what the baseline costs, and what is left."""
    told = []
    for row in table.rows:
        if (one := row.match) is None:
            continue
        step = (
            f"{one.knob} from {one.before:g} to {one.after:g}" if one.after != one.before else f"{one.knob} not moved"
        )
        what = one.quantity.replace("_", " ")
        left = f"{100 * one.mismatch:+.2f}".replace("-", "−")
        why = f": {one.why}" if one.why else ""
        told.append(
            f"{row.arm}: {step}, {what} {format_count(one.reached)} for {format_count(one.target)} "
            f"({left}\N{NO-BREAK SPACE}% left{why})"
        )
    return told


def _label(table: Table) -> str:
    return table.metrics[0].label if table.metrics else "metric"


def _not_compared(table: Table) -> str:
    note = f" {table.task.note}" if table.task.note else ""
    return (
        f"On {table.task.name}, nothing is ranked: the arms differ in objective or data, so that their losses measure "
        f"different things and cannot be compared.{note}"
    )


def _value(metric: Metric, row: Row, brief: bool = True) -> str:
    interval = row.cells[0].interval
    if interval is None:
        return row.arm
    kind = "" if brief else "95\N{NO-BREAK SPACE}% interval "
    seeds = f"{interval.count}\N{NO-BREAK SPACE}seeds"
    certainty = f"{kind}{bounds(metric, interval)}, {seeds}" if interval.known else "one seed"
    return f"{row.arm + ' ' if brief else ''}{quantity(metric, interval.mean)} ({certainty})"


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
    told = f" So far, {', '.join(parts)}." if parts else ""
    stale = sum(row.stale for row in table.rows)
    if not stale:
        return told
    runs = f"{stale} {'run was' if stale == 1 else 'runs were'} made by other code or data than what is there now"
    return f"{told} {runs}: run the study again."
