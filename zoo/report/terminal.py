"""The tables of a study in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from zoo.report.answer import answer
from zoo.report.format import count, difference, with_spread
from zoo.report.records import Run, Study
from zoo.report.table import Row, Table, summary


def print_summary(study: Study, runs: Sequence[Run], console: Console) -> None:
    """Print one table a task, and under each what it says."""
    for table in summary(study, runs):
        console.print(_drawn(study, table))
        for row in table.rows:
            if row.not_applicable:
                console.print(Text(f"{row.arm} is not applicable: {row.not_applicable}"))
        console.print(Text(answer(table)), end="\n\n")


def _drawn(study: Study, table: Table) -> RichTable:
    drawn = RichTable(title=Text(table.task.name), title_justify="left")
    drawn.add_column("arm", overflow="fold")
    for name in _headings(study, table):
        drawn.add_column(name, justify="right", overflow="fold")
    best = table.ranked[0].arm if table.task.comparable and table.ranked and table.metrics[0].goal else None
    for row in table.rows:
        drawn.add_row(*(Text(text) for text in _texts(study, table, row)), style="bold" if row.arm == best else "")
    return drawn


def _headings(study: Study, table: Table) -> list[str]:
    metrics = [f"{metric.label}{' (%)' if metric.percent else ''}" for metric in table.metrics]
    against = [f"against {study.baseline}"] if _differs(study, table) else []
    return ["parameters", "FLOPs/token", *metrics[:1], *against, *metrics[1:], "tokens/s", "seeds"]


def _differs(study: Study, table: Table) -> bool:
    return bool(study.baseline and table.task.comparable and table.metrics)


def _texts(study: Study, table: Table, row: Row) -> list[str]:
    if row.not_applicable:
        return [row.arm, "not applicable"]
    values = [with_spread(cell.metric, cell.interval, unit=False) for cell in row.cells]
    against = [difference(row.cells[0].metric, row.cells[0].difference)] if _differs(study, table) else []
    speed = count(row.tokens_per_second.mean if row.tokens_per_second else None)
    costs = [count(row.parameters), count(row.flops_per_token)]
    return [row.arm, *costs, *values[:1], *against, *values[1:], speed, seeds(row)]


def seeds(row: Row) -> str:
    """``2/3``, and what became of the others."""
    troubles = {"failed": row.failed, "diverged": row.diverged}
    told = ", ".join(f"{number} {what}" for what, number in troubles.items() if number)
    return f"{row.done}/{row.planned}" + (f" ({told})" if told else "")
