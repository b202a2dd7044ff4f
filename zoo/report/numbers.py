"""Everything that the page shows, as numbers for machines: ``report.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from zoo.report.answer import answer
from zoo.report.records import Run, Study
from zoo.report.table import Cell, Row, Table, summary
from zoo.statistics import Comparison, Family, Interval


def numbers(study: Study, runs: Sequence[Run]) -> str:
    """The tables of a study as JSON; a number that is not known or not finite is null.

    Raises:
        Refused: as :func:`zoo.report.table.summary` does.
    """
    told = {
        "name": study.name,
        "question": study.question,
        "expected": study.expected,
        "baseline": study.baseline,
        "command": study.command,
        "tasks": [_table(table) for table in summary(study, runs)],
    }
    return json.dumps(_plain(told), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.task.name,
        "comparable": table.task.comparable,
        "note": table.task.note,
        "answer": answer(table),
        "metrics": [asdict(metric) for metric in table.metrics],
        "design": _design(table.family) if table.family else None,
        "arms": [_row(row, table.compared(row)) for row in table.rows],
    }


def _design(family: Family) -> dict[str, Any]:
    return {
        "noise_floor": family.noise,
        "margin": family.margin,
        "error": family.error,
        "arms": len(family.comparisons),
    }


def _row(row: Row, compared: Comparison | None) -> dict[str, Any]:
    return {
        "arm": row.arm,
        "baseline": row.baseline,
        "overrides": row.overrides,
        "parameters": row.parameters,
        "flops_per_token": row.flops_per_token,
        "tokens": row.tokens,
        "tokens_per_second": row.tokens_per_second,
        "planned": row.planned,
        "done": row.done,
        "failed": row.failed,
        "diverged": row.diverged,
        "not_applicable": row.not_applicable,
        "metrics": {cell.metric.name: _cell(cell) for cell in row.cells},
        "against_baseline": None if compared is None else _compared(compared),
        "verdict": "not applicable" if row.not_applicable else compared.verdict if compared else None,
    }


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
        "baseline_diverged": one.baseline_diverged,
        "smallest_detectable": one.smallest,
        "more_pairs": one.more_pairs,
    }


def _plain(value: Any) -> Any:
    """As JSON has it: texts as keys, intervals as mappings, and null for what is not finite."""
    if isinstance(value, Interval):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
