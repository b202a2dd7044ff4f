"""``report.json``: the content of a report as data."""

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


def format_json(study: Study, tables: Sequence[Table]) -> str:
    """Formats the tables of a study as JSON; numbers that are unknown or not finite are null."""
    told = {
        "name": study.name,
        "question": study.question,
        "expected": study.expected,
        "baseline": study.baseline,
        "command": study.command,
        "tasks": [_build_table(table) for table in tables],
        "sizes": compare_sizes(tables),
        "aggregate": _build_aggregate(aggregate(tables)),
    }
    return json.dumps(_to_json_value(told), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _build_table(table: Table) -> dict[str, Any]:
    return {
        "name": table.task.name,
        "of": table.task.of,
        "size": table.task.size,
        "comparable": table.task.comparable,
        "note": table.task.note,
        "answer": format_answer(table),
        "metrics": [asdict(metric) for metric in table.metrics],
        "saturated": None if table.saturated is None else asdict(table.saturated),
        "design": _build_design(table.family) if table.family else None,
        "arms": [_build_row(row, table.get_comparison(row)) for row in table.rows],
        "interactions": [
            {
                "arms": [one.both, one.one, one.other],
                **_build_comparison(one.comparison),
                "verdict": one.comparison.verdict,
            }
            for one in (table.family.interactions if table.family else ())
        ],
    }


def _build_design(family: Family) -> dict[str, Any]:
    return {
        "noise_floor": family.noise,
        "margin": family.margin,
        "error": family.error,
        "comparisons": family.size,
        "rule": "confidence sequence" if family.max_seeds else "paired t-tests, Holm",
        "most_seeds": family.max_seeds or None,
    }


def _build_row(row: Row, compared: Comparison | None) -> dict[str, Any]:
    return {
        "arm": row.arm,
        "baseline": row.baseline,
        "against": row.against or None,
        "overrides": row.overrides,
        "learning_rate": row.rate,
        "moved": None if row.match is None else {**asdict(row.match), "mismatch": row.match.mismatch},
        **get_costs(row),
        "planned": row.planned,
        "done": row.done,
        "failed": row.failed,
        "diverged": row.diverged,
        "stale": row.stale,
        "not_applicable": row.not_applicable,
        "metrics": {cell.metric.name: _build_cell(cell) for cell in row.cells},
        "comparison": None if compared is None else _build_comparison(compared),
        "verdict": get_verdict(row, compared),
    }


def get_costs(row: Row) -> dict[str, Any]:
    """Returns the costs of an arm by name."""
    return {name: getattr(row, name) for name in COSTS}


def get_verdict(row: Row, compared: Comparison | None) -> str | None:
    """Returns the verdict of a row; None if there is none."""
    return "not applicable" if row.not_applicable else compared.verdict if compared else None


def _build_cell(cell: Cell) -> dict[str, Any]:
    return {"by_seed": cell.values, "mean": cell.interval, "difference": cell.difference}


def _build_comparison(one: Comparison) -> dict[str, Any]:
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


def _build_aggregate(found: Aggregate | None) -> dict[str, Any] | None:
    return None if found is None else {**asdict(found), "answer": found.sentence}


def _to_json_value(value: Any) -> Any:
    """Converts a value to JSON types: keys become strings, intervals mappings, and non-finite numbers null."""
    if isinstance(value, Interval):
        return _to_json_value(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json_value(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
