"""CSV tables: one line per arm and task, and one line per run.

A text that a spreadsheet would take for a formula begins with an apostrophe, as OWASP recommends against CSV injection;
numbers stay numbers. Control characters are escaped as in JSON, but for tabs and ends of lines.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.report.claims.table import Row, Table
from zoo.report.output.json_numbers import get_costs, get_verdict
from zoo.report.records.records import Run
from zoo.statistics import Interval
from zoo.system.terminal import escape_controls


def format_table_csv(tables: Sequence[Table]) -> str:
    """Formats a line per arm and task: costs, metrics and the comparison by the primary metric."""
    return _format_csv([_build_arm_line(table, row) for table in tables for row in table.rows])


def format_runs_csv(runs: Sequence[Run]) -> str:
    """Formats a line per run with all metrics and costs of its result; a metric that is not finite is empty."""
    return _format_csv([_build_run_line(run) for run in runs])


def _build_arm_line(table: Table, row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {"task": table.task.name, "arm": row.arm, "baseline": row.baseline, "against": row.against}
    line |= {"overrides": " ".join(f"{key}={value}" for key, value in row.overrides.items()), "learning_rate": row.rate}
    for cell in row.cells:
        line |= _build_interval(cell.metric.name, cell.interval) | _build_interval(
            f"{cell.metric.name} difference", cell.difference
        )
    one = table.get_comparison(row)
    if one is not None:
        line |= _build_interval("comparison", one.interval) | _build_interval("bootstrap", one.bootstrap)
        line |= {"p": one.p, "adjusted_p": one.adjusted_p, "better_chance": one.better_chance}
        line |= {"smallest_detectable": one.smallest}
    line |= {"verdict": get_verdict(row, one), "not_applicable": row.not_applicable}
    line |= {name: value.mean if isinstance(value, Interval) else value for name, value in get_costs(row).items()}
    line |= {name: getattr(row, name) for name in ("planned", "done", "failed", "diverged", "stale")}
    return line | ({"moved": row.match.knob, "mismatch": row.match.mismatch} if row.match else {})


def _build_interval(name: str, interval: Interval | None) -> dict[str, float]:
    return {} if interval is None else {name: interval.mean, f"{name} low": interval.low, f"{name} high": interval.high}


def _build_run_line(run: Run) -> dict[str, Any]:
    state = "done" if run.result is not None else "failed" if run.failure is not None else "not finished"
    line = {"task": run.task, "arm": run.arm, "seed": run.seed, "folder": run.folder.name, "state": state}
    line |= {"stale": run.stale, "tuning": run.tuning, "learning_rate": run.rate}
    line |= run.totals | {f"metrics.{name}": value for name, value in run.metrics.items()}
    return line | {"error": None if run.failure is None else run.failure.error}


def _format_csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """Formats lines with the union of their columns; values that are unknown or not finite are empty."""
    columns = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_format_cell, columns))
    writer.writerows([_format_cell(line.get(name)) for name in columns] for line in lines)
    return text.getvalue()


def _format_cell(value: Any) -> Any:
    if isinstance(value, str):
        text = "\r".join(map(escape_controls, value.split("\r")))
        return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else value
