"""Everything that the report shows, as numbers for machines: ``report.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from zoo.report.claims.across_sizes import compare_sizes
from zoo.report.claims.aggregate import Aggregate, aggregate
from zoo.report.claims.answer import format_answer
from zoo.report.claims.table import Cell, Row, Table
from zoo.report.records.contrasts import Family
from zoo.report.records.records import Study
from zoo.statistics import Comparison, Interval

COSTS = (
    "parameters",
    "active_parameters",
    "flops_per_token",
    "executed_flops_per_token",
    "tokens",
    "tokens_per_second",
    "cache_bytes_per_token",
    "peak_memory",
    "seconds",
    "energy",
)


def numbers(study: Study, tables: Sequence[Table]) -> str:
    """The tables of a study as JSON; a number that is not known or not finite is null."""
    told = {
        "name": study.name,
        "question": study.question,
        "expected": study.expected,
        "baseline": study.baseline,
        "command": study.command,
        "tasks": [_table(table) for table in tables],
        "sizes": compare_sizes(tables),
        "aggregate": _aggregate(aggregate(tables)),
    }
    return json.dumps(_plain(told), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.task.name,
        "of": table.task.of,
        "size": table.task.size,
        "comparable": table.task.comparable,
        "note": table.task.note,
        "answer": format_answer(table),
        "metrics": [asdict(metric) for metric in table.metrics],
        "saturated": None if table.saturated is None else asdict(table.saturated),
        "design": _design(table.family) if table.family else None,
        "arms": [_row(row, table.get_comparison(row)) for row in table.rows],
        "interactions": [
            {"arms": [one.both, one.one, one.other], **_compared(one.comparison), "verdict": one.comparison.verdict}
            for one in (table.family.interactions if table.family else ())
        ],
    }


def _design(family: Family) -> dict[str, Any]:
    return {
        "noise_floor": family.noise,
        "margin": family.margin,
        "error": family.error,
        "comparisons": family.size,
        "rule": "confidence sequence" if family.max_seeds else "paired t-tests, Holm",
        "most_seeds": family.max_seeds or None,
    }


def _row(row: Row, compared: Comparison | None) -> dict[str, Any]:
    return {
        "arm": row.arm,
        "baseline": row.baseline,
        "against": row.against or None,
        "overrides": row.overrides,
        "learning_rate": row.rate,
        "moved": None if row.match is None else {**asdict(row.match), "mismatch": row.match.mismatch},
        **costs(row),
        "planned": row.planned,
        "done": row.done,
        "failed": row.failed,
        "diverged": row.diverged,
        "stale": row.stale,
        "not_applicable": row.not_applicable,
        "metrics": {cell.metric.name: _cell(cell) for cell in row.cells},
        "comparison": None if compared is None else _compared(compared),
        "verdict": verdict(row, compared),
    }


def costs(row: Row) -> dict[str, Any]:
    """What an arm costs, by name."""
    return {name: getattr(row, name) for name in COSTS}


def verdict(row: Row, compared: Comparison | None) -> str | None:
    """The verdict of a row; None where there is none."""
    return "not applicable" if row.not_applicable else compared.verdict if compared else None


def _cell(cell: Cell) -> dict[str, Any]:
    return {"by_seed": cell.values, "mean": cell.interval, "difference": cell.difference}


def _compared(one: Comparison) -> dict[str, Any]:
    return {
        "differences": one.differences,
        "interval": one.interval,
        "bootstrap": one.bootstrap,
        "p": one.p,
        "adjusted_p": one.adjusted_p,
        "equivalence_p": one.equivalence_p,
        "better_chance": one.better_chance,
        "seeds": one.seeds,
        "diverged": one.diverged,
        "other_diverged": one.other_diverged,
        "smallest_detectable": one.smallest,
        "more_pairs": one.more_pairs,
    }


def _aggregate(found: Aggregate | None) -> dict[str, Any] | None:
    return None if found is None else {**asdict(found), "answer": found.sentence}


def _plain(value: Any) -> Any:
    """As JSON has it: texts as keys, intervals as mappings, and null for what is not finite."""
    if isinstance(value, Interval):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
