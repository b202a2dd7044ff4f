"""Tables in a terminal: no name is ever broken, and what is no terminal gets plain lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from zoo.system.terminal import escape_controls, naming_output

_ENDLESS = 10_000  # columns of what is no terminal


class Terminal(Console):
    """A console that prints texts as they are: nothing in them is markup, an emoji code, or a control sequence.

    What is no terminal has as many columns as ``COLUMNS`` says, or no end.
    """

    def __init__(self, file: TextIO | None = None, width: int | None = None) -> None:
        super().__init__(file=file, width=width, markup=False, emoji=False, highlight=False)
        if width is None and not self.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
            self.width = _ENDLESS

    def render_str(
        self,
        text: str,
        *,
        style: str | object = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: object = None,
    ) -> Text:
        """A text without markup; its escapes count when columns are measured."""
        return Text(escape_controls(text), style=style, justify=justify, overflow=overflow)  # type: ignore[arg-type]

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """The last door: whatever was printed, only rich itself may send control sequences."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_controls(segment.text), segment.style)

    def print(self, *objects: Any, **options: Any) -> None:
        """As of :class:`rich.console.Console`."""
        with naming_output():
            super().print(*objects, **options)

    def print_line(self, text: str, style: str | None = None) -> None:
        """Print a text on one line, which the terminal alone may wrap."""
        self.print(text, style=style, soft_wrap=True)


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        heading: above it.
        cells: one a row; the last ones may be missing.
        left: whether it is aligned to the left, as texts are.
        dropped: where there is no room, columns are left out in this order; 0 for one that always stays.
        style: of its cells.
        wraps: whether a cell may take several lines, between words; names do not.
    """

    heading: str
    cells: Sequence[str]
    left: bool = False
    dropped: int = 0
    style: str = ""
    wraps: bool = False


def print_table(
    console: Console, columns: Sequence[Column], *, title: str = "", styles: Mapping[int, str] | None = None
) -> None:
    """Print a table as wide as the console at most; no name is broken.

    Where there is no room, columns are left out that may be; if that is not enough, each row becomes a few lines: its
    first cell, then ``heading: cell`` of the others.

    Args:
        console: where to.
        columns: the first one names the rows.
        title: above all.
        styles: by number, those of rows.
    """
    table = table_that_fits(console, columns, title, styles)
    console.print(table if table is not None else _stacked(console, columns, title), soft_wrap=table is None)


def table_that_fits(
    console: Console, columns: Sequence[Column], title: str = "", styles: Mapping[int, str] | None = None
) -> Table | None:
    """The table, without columns that there is no room for; None if what must stay does not fit."""
    ranks = sorted({column.dropped for column in columns if column.dropped})
    for last in (0, *ranks):
        kept = [column for column in columns if not 0 < column.dropped <= last]
        table = _table(console, kept, title, styles or {})
        if _width(console, table) - sum(map(_slack, kept)) <= console.width:
            return table
    return None


def _table(console: Console, columns: Sequence[Column], title: str, styles: Mapping[int, str]) -> Table:
    plain = not console.is_terminal
    table = Table(
        title=Text(escape_controls(title), style="" if plain else "bold") if title else None,
        title_justify="left",
        box=None if plain else SIMPLE_HEAD,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    for column in columns:
        justify: JustifyMethod = "left" if column.left else "right"
        table.add_column(
            Text(escape_controls(column.heading)), justify=justify, style=column.style, no_wrap=not column.wraps
        )
    for number in range(max((len(column.cells) for column in columns), default=0)):
        cells = [column.cells[number] if number < len(column.cells) else "" for column in columns]
        table.add_row(*(Text(escape_controls(cell)) for cell in cells), style=styles.get(number, ""))
    return table


def _width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(max_width=_ENDLESS), table).maximum


def _slack(column: Column) -> int:
    """By how much a column can be narrower than its longest cell."""
    if not column.wraps:
        return 0
    texts = [column.heading, *column.cells]
    words = [word for text in texts for word in escape_controls(text).split()]
    return max(map(cell_len, texts)) - max(map(cell_len, words), default=0)


def _stacked(console: Console, columns: Sequence[Column], title: str) -> Text:
    first, *others = columns
    lines = [title] if title else []
    for number, name in enumerate(first.cells):
        lines.append(name)
        told = (
            f"{column.heading}: {' '.join(column.cells[number].split(chr(10)))}".removeprefix(": ")
            for column in others
            if number < len(column.cells) and column.cells[number]
        )
        lines += [f"  {line}" for line in _filled(told, console.width - 2)]
    return Text(escape_controls("\n".join(lines)))


def _filled(pieces: Iterable[str], width: int) -> Iterator[str]:
    """Lines of whole pieces."""
    line = ""
    for piece in pieces:
        joined = f"{line}  {piece}" if line else piece
        if line and cell_len(joined) > width:
            yield line
            joined = piece
        line = joined
    if line:
        yield line
