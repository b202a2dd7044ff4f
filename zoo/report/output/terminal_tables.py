"""Tables of a study in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo.report.claims.across_sizes import compare_sizes
from zoo.report.claims.aggregate import aggregate
from zoo.report.claims.answer import format_answer
from zoo.report.claims.format import format_difference, format_mean, format_probability
from zoo.report.claims.table import Row, Table, build_tables
from zoo.report.claims.verdicts import format_design
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run, Study
from zoo.system.tables import Column, Terminal, print_table
from zoo.system.units import format_count


def print_summary(study: Study, runs: Sequence[Run], terminal: Terminal) -> None:
    """Prints a table per task, each with its answer."""
    tables = build_tables(study, runs)
    for table in tables:
        _print_table(table, terminal)
        for row in table.rows:
            if row.not_applicable:
                terminal.print(f"{row.arm} is not applicable: {row.not_applicable}")
        terminal.print(format_answer(table))
        if told := format_design(table):
            terminal.print(told, style="dim")
        terminal.print()
    together = aggregate(tables)
    for told in (*compare_sizes(tables), *([together.sentence] if together else [])):
        terminal.print(told)


def print_folder(page: Path, folder: Path, terminal: Terminal) -> None:
    """Prints the path of the report, and why it is not in the intended folder."""
    if page.parent != folder:
        told = f"{folder} holds files that no report has written, or that were changed since: they are left as they are"
        terminal.print_line(told)
    terminal.print_line(f"report: {page.resolve()}")


def _print_table(table: Table, terminal: Terminal) -> None:
    """Prints as many columns as fit into the terminal; the report has all of them."""
    headings = ["arm", *_format_headings(table)]
    texts = [_format_row(table, row) for row in table.rows]
    rank = {name: place for place, name in enumerate(_order_optional_columns(table), 1)}
    columns = [
        Column(heading, [text[i] if i < len(text) else "" for text in texts], left=i == 0, dropped=rank.get(heading, 0))
        for i, heading in enumerate(headings)
    ]
    best = table.ranked[0].arm if table.task.comparable and table.ranked and table.metrics[0].goal else None
    styles = {number: "bold" for number, row in enumerate(table.rows) if row.arm == best}
    print_table(terminal, columns, title=table.task.name, styles=styles)


def _order_optional_columns(table: Table) -> list[str]:
    """Returns the columns to leave out if there is no room, in this order."""
    return [
        "FLOPs/token",
        *(_format_heading(metric) for metric in reversed(table.metrics[1:])),
        "tokens/s",
        "parameters",
    ]


def _format_heading(metric: Metric) -> str:
    return f"{metric.label}{' (%)' if metric.percent else ''}"


def _format_headings(table: Table) -> list[str]:
    metrics = [_format_heading(metric) for metric in table.metrics]
    others = table.others
    against = [f"against {others[0]}"] if len(others) == 1 else ["against", "difference"] if others else []
    sure = ["interval" if table.family.max_seeds else "adjusted p", "verdict"] if table.family else []
    return ["parameters", "FLOPs/token", *metrics[:1], *against, *sure, *metrics[1:], "tokens/s", "seeds"]


def _format_row(table: Table, row: Row) -> list[str]:
    if row.not_applicable:
        return [row.arm, "not applicable"]
    values = [format_mean(cell.metric, cell.interval, unit=False) for cell in row.cells]
    against = [row.against or "—"] if len(table.others) > 1 else []
    against += [format_difference(row.cells[0].metric, row.cells[0].difference)] if table.others else []
    if table.family and (one := table.get_comparison(row)):
        sure = format_difference(row.cells[0].metric, one.interval) if one.most else format_probability(one.adjusted_p)
        against += [sure, one.verdict or "—"]
    elif table.family:
        against += ["—", "baseline" if row.baseline else "—"]
    speed = format_count(row.tokens_per_second.mean if row.tokens_per_second else None)
    costs = [format_count(row.parameters), format_count(row.flops_per_token)]
    return [row.arm, *costs, *values[:1], *against, *values[1:], speed, format_seeds(row)]


def format_seeds(row: Row) -> str:
    """Formats the finished seeds as ``2/3``, with the number of failed, diverged and stale ones."""
    troubles = {"failed": row.failed, "diverged": row.diverged, "stale": row.stale}
    told = ", ".join(f"{number} {what}" for what, number in troubles.items() if number)
    return f"{row.done}/{row.planned}" + (f" ({told})" if told else "")
