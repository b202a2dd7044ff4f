"""Answer of a study: a few sentences per task, computed from its table."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.report.claims.format import format_bounds, format_metric, format_mismatch
from zoo.report.claims.table import Row, Table
from zoo.report.claims.verdicts import format_verdicts, join_names
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Match
from zoo.statistics import Interval
from zoo.system.units import format_count


def format_answer(table: Table, named: int = 3) -> str:
    """Summarizes what a table shows for its primary metric.

    A saturated metric is reported first, then verdicts or a ranking with their uncertainty, then what is missing.

    Args:
        table: table of a task.
        named: number of arms that are named for each verdict, or after the first of a ranking.
    """
    task = table.task
    if not any(row.done for row in table.rows):
        return f"On {task.name}, no run has finished yet."
    if not task.comparable:
        return _explain_refusal(table)
    lead = f"On {task.name}, {table.saturated.sentence} " if table.saturated else ""
    if verdicts := format_verdicts(table, named):
        unfinished = (
            " Verdicts are provisional until all runs have finished."
            if any(row.unfinished for row in table.rows)
            else ""
        )
        return f"{lead}{verdicts}{_format_caveats(table)}{unfinished}"
    if not table.ranked:
        return f"On {task.name}, no finished run has a finite {_get_label(table)}."
    return f"{lead}{_format_ranking(table, named)}{_format_caveats(table)}"


def _format_ranking(table: Table, named: int) -> str:
    """Ranks the arms of a table without a baseline, with the certainty of the first place."""
    task, metric, (first, *rest) = table.task, table.metrics[0], table.ranked
    if not rest or metric.goal is None:
        values = "; ".join(_format_value(metric, row) for row in table.ranked[: named + 1])
        unclear = (
            f" The arms are not ranked: it is not known whether higher or lower {_get_label(table)} is better."
            if rest
            else ""
        )
        return f"On {task.name}, {_get_label(table)}: {values}.{unclear}"
    level = [row.arm for row in (first, *rest) if _get_interval(row).mean == _get_interval(first).mean]
    if len(level) > 1:
        value = _format_value(metric, first, False)
        return f"On {task.name}, {join_names(level)} are tied in {_get_label(table)}: {value}."
    rank = "highest" if metric.goal == "higher" else "lowest"
    others = "; ".join(_format_value(metric, row) for row in rest[:named])
    more = f"; and {len(rest) - named} more" if len(rest) > named else ""
    lead = f"On {task.name}, {first.arm} has the {rank} {_get_label(table)}, {_format_certainty(first, rest)}"
    return f"{lead}: {_format_value(metric, first, False)}. Others: {others}{more}."


def _format_certainty(first: Row, rest: Sequence[Row]) -> str:
    """Says whether the first place is certain: no run of it diverged, and its interval overlaps with no other."""
    if first.diverged:
        return f"but this is not decided, because {first.diverged} of its {first.done} finished runs diverged"
    lone = [row.arm for row in (first, *rest) if not _get_interval(row).known]
    if lone:
        return f"but this is not decided, because one seed gives no interval ({join_names(lone)})"
    close = [row.arm for row in rest if _get_interval(first).overlaps(_get_interval(row))]
    if close:
        whose = "that" if len(close) == 1 else "those"
        return f"but this is not decided, because its interval overlaps with {whose} of {join_names(close)}"
    return "and its interval overlaps with no other"


def format_budget(table: Table) -> str:
    """Describes the range of costs of the arms; empty for fewer than two arms with a result."""
    rows = [row for row in table.rows if row.done]
    costs = {
        "parameters": [row.parameters for row in rows if row.parameters],
        "training FLOPs per token": [row.flops_per_token for row in rows if row.flops_per_token],
        "training tokens": [row.tokens for row in rows if row.tokens],
    }
    if len(rows) < 2:
        return ""
    ranges = [_format_range(name, values) for name, values in costs.items() if values]
    return f"Budgets: {'; '.join(ranges)}." if ranges else ""


def _format_range(name: str, values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    if low == high:
        return f"equal {name} ({format_count(low)})"
    return f"{name} from {format_count(low)} to {format_count(high)} ({high / low:.2f}×)"


def format_matches(table: Table) -> list[str]:
    """Describes, for each matched arm, the changed config value and the remaining difference to the baseline."""
    return [f"{row.arm}: {describe_match(row.match)}" for row in table.rows if row.match is not None]


def describe_match(match: Match) -> str:
    """Describes a change that matches an arm to the baseline, with the remaining difference and its reason."""
    changed = f"changed from {match.before:g} to {match.after:g}" if match.after != match.before else "unchanged"
    quantity, why = match.quantity.replace("_", " "), f": {match.why}" if match.why else ""
    sizes = f"{format_count(match.reached)}, target {format_count(match.target)}"
    return f"{match.knob} {changed}; {quantity} {sizes} ({format_mismatch(match.mismatch)}{why})"


def _get_label(table: Table) -> str:
    return table.metrics[0].label if table.metrics else "metric"


def _explain_refusal(table: Table) -> str:
    note = f" {table.task.note}" if table.task.note else ""
    return (
        f"On {table.task.name}, the arms are not compared: they differ in objective or data, so their losses measure "
        f"different things.{note}"
    )


def _format_value(metric: Metric, row: Row, brief: bool = True) -> str:
    interval = row.cells[0].interval
    if interval is None:
        return row.arm
    kind = "" if brief else "95\N{NO-BREAK SPACE}% confidence interval "
    seeds = f"{interval.count}\N{NO-BREAK SPACE}seeds"
    certainty = f"{kind}{format_bounds(metric, interval)}, {seeds}" if interval.known else "one seed"
    return f"{row.arm + ' ' if brief else ''}{format_metric(metric, interval.mean)} ({certainty})"


def _get_interval(row: Row) -> Interval:
    interval = row.cells[0].interval
    if interval is None:
        raise ValueError(f"a ranked row must have an interval: got none for {row.arm}")
    return interval


def _format_caveats(table: Table) -> str:
    """Lists unfinished, failed, diverged and stale runs."""
    planned, done = sum(row.planned for row in table.rows), sum(row.done for row in table.rows)
    diverged, failed = sum(row.diverged for row in table.rows), sum(row.failed for row in table.rows)
    parts = [f"{done} of {planned} runs have finished"] if done + failed < planned else []
    parts += [f"{failed} of {planned} failed"] if failed else []
    parts += [f"{diverged} of {done} finished runs diverged and are excluded from the means"] if diverged else []
    missing = f" So far, {', '.join(parts)}." if parts else ""
    stale = sum(row.stale for row in table.rows)
    if not stale:
        return missing
    results = f"{stale} {'result was' if stale == 1 else 'results were'}"
    return f"{missing} {results} computed with a different version of the code or data; run the study again."
