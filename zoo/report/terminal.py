"""The tables of a study in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from zoo.report.aggregate import aggregate
from zoo.report.answer import answer
from zoo.report.format import difference, probability, with_spread
from zoo.report.metrics import Metric
from zoo.report.records import Run, Study
from zoo.report.survival import survival
from zoo.report.table import Row, Table, summary
from zoo.report.verdicts import design
from zoo.units import count


def print_summary(study: Study, runs: Sequence[Run], console: Console) -> None:
    """Print one table a task, and under each what it says."""
    tables = summary(study, runs)
    for table in tables:
        console.print(_drawn(table, console))
        for row in table.rows:
            if row.not_applicable:
                console.print(Text(f"{row.arm} is not applicable: {row.not_applicable}"))
        console.print(Text(answer(table)))
        if told := design(table):
            console.print(Text(told, style="dim"))
        console.print()
    together = aggregate(tables)
    for told in (*survival(tables), *([together.sentence] if together else [])):
        console.print(Text(told))


def print_folder(page: Path, folder: Path, console: Console) -> None:
    """Say where the report is, and why it is not in the folder that was meant."""
    if page.parent != folder:
        told = f"{folder} holds files that no report has written, or that were changed since: they are left as they are"
        console.print(Text(told), soft_wrap=True)
    console.print(Text(f"report: {page.resolve()}"), soft_wrap=True)


def _drawn(table: Table, console: Console) -> RichTable:
    """As many columns as the terminal has room for; the report has all of them."""
    optional = ["FLOPs/token", *(_heading(metric) for metric in reversed(table.metrics[1:])), "tokens/s", "parameters"]
    for dropped in range(len(optional) + 1):
        drawn = _with_columns(table, set(optional[:dropped]))
        if Measurement.get(console, console.options.update(max_width=1000), drawn).maximum <= console.width:
            break
    return drawn


def _with_columns(table: Table, dropped: set[str]) -> RichTable:
    headings = ["arm", *_headings(table)]
    kept = [number for number, name in enumerate(headings) if name not in dropped]
    drawn = RichTable(title=Text(table.task.name), title_justify="left")
    for number in kept:
        drawn.add_column(headings[number], justify="right" if number else "left", overflow="fold")
    best = table.ranked[0].arm if table.task.comparable and table.ranked and table.metrics[0].goal else None
    for row in table.rows:
        texts = _texts(table, row)
        cells = [Text(texts[number]) for number in kept if number < len(texts)]
        drawn.add_row(*cells, style="bold" if row.arm == best else "")
    return drawn


def _heading(metric: Metric) -> str:
    return f"{metric.label}{' (%)' if metric.percent else ''}"


def _headings(table: Table) -> list[str]:
    metrics = [_heading(metric) for metric in table.metrics]
    others = table.others
    against = [f"against {others[0]}"] if len(others) == 1 else ["against", "difference"] if others else []
    sure = ["interval" if table.family.most else "adjusted p", "verdict"] if table.family else []
    return ["parameters", "FLOPs/token", *metrics[:1], *against, *sure, *metrics[1:], "tokens/s", "seeds"]


def _texts(table: Table, row: Row) -> list[str]:
    if row.not_applicable:
        return [row.arm, "not applicable"]
    values = [with_spread(cell.metric, cell.interval, unit=False) for cell in row.cells]
    against = [row.against or "—"] if len(table.others) > 1 else []
    against += [difference(row.cells[0].metric, row.cells[0].difference)] if table.others else []
    if table.family and (one := table.compared(row)):
        sure = difference(row.cells[0].metric, one.interval) if one.most else probability(one.adjusted_p)
        against += [sure, one.verdict or "—"]
    elif table.family:
        against += ["—", "baseline" if row.baseline else "—"]
    speed = count(row.tokens_per_second.mean if row.tokens_per_second else None)
    costs = [count(row.parameters), count(row.flops_per_token)]
    return [row.arm, *costs, *values[:1], *against, *values[1:], speed, seeds(row)]


def seeds(row: Row) -> str:
    """``2/3``, and what became of the others."""
    troubles = {"failed": row.failed, "diverged": row.diverged, "stale": row.stale}
    told = ", ".join(f"{number} {what}" for what, number in troubles.items() if number)
    return f"{row.done}/{row.planned}" + (f" ({told})" if told else "")
