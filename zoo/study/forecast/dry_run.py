"""Dry runs: the runs of a study and their costs, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from zoo.report.claims.format import format_mismatch
from zoo.report.records.records import Match
from zoo.study.cells.cell_status import CellStatus, count_states
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.known_cells import KnownCells
from zoo.study.forecast.estimate_run_times import Estimate
from zoo.study.forecast.forecast import Forecast, ForecastRow, forecast_study
from zoo.study.match.quantities import count_executed_flops, count_train_tokens, measure_quantity
from zoo.study.plan.cell import Cell
from zoo.study.plan.study_plan import StudyPlan
from zoo.system.tables import Column, Terminal, print_table
from zoo.system.terminal import escape_controls
from zoo.system.units import format_count, format_duration, is_different
from zoo.training.run import run_folder


def print_dry_run(plan: StudyPlan, expansion: Expansion, known: KnownCells, terminal: Terminal) -> None:
    """Prints a row for each arm and task, then what is left out and why, and the total cost.

    Raises:
        Refused: If the data cannot be prepared, or a model cannot be built for them.
    """
    with terminal.status("") as status:
        expected = forecast_study(
            plan, expansion, known, lambda line: status.update(Text(escape_controls(f"measuring {line}")))
        )
    _print_table(expected.rows, terminal)
    for line in _list_remarks(plan, expansion, known, expected):
        terminal.print_line(line)


def build_dry_run_json(plan: StudyPlan, expansion: Expansion, known: KnownCells) -> dict[str, Any]:
    """Returns all runs as JSON types, each with its overrides, folder, and cost.

    Raises:
        Refused: As :func:`print_dry_run`.
    """
    expected = forecast_study(plan, expansion, known)
    matched = {(row.setting.arm, row.setting.task): row.match for row in expected.rows if row.match}
    return {
        "study": plan.name,
        "question": plan.question,
        "runs": _build_range(expected.runs),
        "tokens": _build_range(expected.tokens),
        "seconds": None if expected.seconds is None else _build_range(expected.seconds),
        "workers": expected.workers,
        "not_applicable": [{"arm": arm, "task": task, "why": why} for arm, task, why in expansion.not_applicable],
        "also_changed": [
            {"arm": arm, "task": task, "what": what} for (arm, task), what in expansion.side_changes.items()
        ],
        "left_out": [{"arm": arm, "task": task, "seeds": seeds} for arm, task, seeds in expansion.left_out],
        "matched": [
            {"arm": arm, "task": task, **asdict(moved), "mismatch": moved.mismatch}
            for (arm, task), moved in matched.items()
        ],
        "cells": [_build_cell_json(row, each) for row in expected.rows for each in row.found],
    }


def _build_range(ends: tuple[float, float]) -> dict[str, float]:
    return dict(zip(("least", "most"), ends, strict=True))


def _build_cell_json(row: ForecastRow, each: CellStatus[Cell]) -> dict[str, Any]:
    cell = each.cell
    return {
        **{key: getattr(cell, key) for key in ("task", "arm", "seed", "rate", "tuning")},
        "overrides": list(cell.overrides),
        "hash": cell.checked.hash,
        "folder": str(run_folder(cell.checked).path),
        "state": each.state,
        **asdict(row.costs),
        "executed_flops_per_token": count_executed_flops(cell.checked),
        "train_flops": measure_quantity(cell.checked, "train_flops"),
        "train_tokens": count_train_tokens(cell.checked),
        **asdict(row.estimate),
    }


# ---------------------------------------------------------------------------------------------------------- table


def _print_table(rows: Sequence[ForecastRow], terminal: Terminal) -> None:
    """Prints a row for each arm, below the name of its task; empty columns are left out."""
    columns = {
        "parameters": [_format_parameters(row) for row in rows],
        "FLOPs/token": [_format_flops(row) for row in rows],
        "matching": [_format_match(row.match) for row in rows],
        "lr": [_format_rate(row) for row in rows],
        "runs": [_format_range(row.least, row.most) for row in rows],
        "state": [_format_states(row) for row in rows],
        "time per run": [_format_time(row.estimate) for row in rows],
    }
    lines: list[tuple[str, int | None]] = []
    for number, row in enumerate(rows):
        if number == 0 or rows[number - 1].setting.task != row.setting.task:
            lines.append((row.setting.task, None))
        lines.append((f"  {row.setting.arm}", number))
    drawn = [Column("arm", [name for name, _ in lines], left=True)]
    for head, cells in columns.items():
        if any(cells):
            drawn.append(Column(head, ["" if number is None else cells[number] for _, number in lines]))
    print_table(terminal, drawn, styles={place: "bold" for place, (_, number) in enumerate(lines) if number is None})


def _format_flops(row: ForecastRow) -> str:
    """Formats the FLOPs of the method, and those that are executed if they differ."""
    needed, done = row.costs.flops_per_token, count_executed_flops(row.setting.checked)
    return (
        f"{format_count(needed)}\n{format_count(done)} executed" if is_different(done, needed) else format_count(needed)
    )


def _format_parameters(row: ForecastRow) -> str:
    active = row.costs.active_parameters
    some = f"\n{format_count(active)} active" if active != row.costs.parameters else ""
    return f"{format_count(row.costs.parameters)}{some}"


def _format_time(estimate: Estimate) -> str:
    """Formats the duration of a run; one that was predicted is marked."""
    mark = "" if estimate.is_measured else "~"
    return "" if estimate.seconds is None else f"{mark}{format_duration(estimate.seconds)}"


def _format_match(moved: Match | None) -> str:
    """Formats the change that matches an arm to the baseline, and the mismatch that remains."""
    if moved is None or (moved.before == moved.after and not moved.why):
        return ""
    change = "" if moved.before == moved.after else f"{moved.knob.rpartition('.')[2]} {moved.before}→{moved.after} "
    return f"{change}{format_mismatch(moved.mismatch)}"


def _format_rate(row: ForecastRow) -> str:
    """Formats the learning rate that was chosen, if any."""
    rates = {each.cell.rate for each in row.found if not each.cell.tuning and each.cell.rate is not None}
    return "\n".join(f"{rate:g}" for rate in sorted(rates))


def _format_states(row: ForecastRow) -> str:
    """Formats the states of the runs; empty if none has started."""
    counted = count_states(row.found)
    return "" if set(counted) <= {"planned"} else "\n".join(f"{many} {state}" for state, many in counted.items())


# ---------------------------------------------------------------------------------------------------------- remarks


def _list_remarks(plan: StudyPlan, expansion: Expansion, known: KnownCells, expected: Forecast) -> Iterator[str]:
    """Lists remarks below the table."""
    for row in expected.rows:
        if row.estimate.error:
            yield f"fails: {row.name}: {row.estimate.error}"
        if row.match and row.match.why:
            yield f"not matched: {row.name}, {format_mismatch(row.match.mismatch)}: {row.match.why}"
    yield from (f"not applicable: {task} {arm}: {why}" for arm, task, why in expansion.not_applicable)
    yield from (
        f"also changed: {task} {arm}: {', '.join(what)}" for (arm, task), what in expansion.side_changes.items()
    )
    for arm, task, seeds in expansion.left_out:
        some = "" if len(seeds) == len(plan.seeds) else f": seeds {', '.join(map(str, seeds))}"
        yield f"excluded by where: {task} {arm}{some}"
    if plan.rates is not None:
        values, seeds = plan.rates.values, plan.rates.seeds
        rates = ", ".join(f"{value:g}" for value in values)
        which = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
        yield f"each arm first tries the learning rates {rates} with {which}; its other runs use the best"
    yield from (f"{task}: {note}" for task, notes in known.notes.items() for note in notes)
    if plan.until_decided:
        yield f"seeds are added until each arm has a verdict, up to {len(plan.seeds)}"
    if many := sum(not row.estimate.is_measured for row in expected.rows):
        how = "predicted from arms that share their options; their first steps were not tried"
        yield f"~: the times of {many} of {len(expected.rows)} arms are {how}"
    yield _format_total(expected)


def _format_total(expected: Forecast) -> str:
    done = sum(row.done for row in expected.rows)
    there = f", {done} already done" if done else ""
    read = f"; {_format_range(*map(format_count, expected.tokens))} tokens to read" if expected.tokens[1] else ""
    total = f"{_format_range(*expected.runs)} runs{there}{read}"
    if expected.seconds is None:
        return total
    parallel = f"{expected.workers} runs at a time" if expected.workers > 1 else "one run at a time"
    return f"{total}, about {_format_range(*map(format_duration, expected.seconds))} on this machine, {parallel}"


def _format_range(least: object, most: object) -> str:
    return f"{least}" if least == most else f"{least} to {most}"
