"""Tables for a terminal that never break a name across lines; pipes and files get plain text."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from zoo.system.terminal import escape_controls, name_output

_UNLIMITED_WIDTH = 10_000  # columns where the output is not a terminal


class Terminal(Console):
    """A rich console that prints text literally: without markup, emoji codes, or control sequences.

    If the output is not a terminal, its width is ``COLUMNS``, or unlimited where that is unset. Jupyter, where rich
    would display every line by itself, is like any other output.

    Args:
        file: Output stream; standard output by default.
        width: Width in characters; that of the terminal by default.
        plain: If True, prints no styles, even where the environment asks for color.
    """

    def __init__(self, file: TextIO | None = None, width: int | None = None, *, plain: bool = False) -> None:
        super().__init__(
            file=file,
            width=width,
            force_terminal=False if plain else None,
            force_jupyter=False,
            markup=False,
            emoji=False,
            highlight=False,
        )
        if width is None and not self.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
            self.width = _UNLIMITED_WIDTH

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
        """Returns text without markup, with control characters escaped before its width is measured."""
        return Text(escape_controls(text), style=style, justify=justify, overflow=overflow)  # type: ignore[arg-type]

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Escapes control characters in all segments except those that rich itself emits as control codes."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_controls(segment.text), segment.style)

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints like :meth:`rich.console.Console.print`."""
        with name_output():
            super().print(*objects, **options)

    def print_line(self, text: str, style: str | None = None) -> None:
        """Prints a text as one line, which only the terminal wraps."""
        self.print(text, style=style, soft_wrap=True)


def capture_text(draw: Callable[[Terminal], None]) -> str:
    """Returns what a function prints to a terminal, as plain text."""
    out = io.StringIO()
    draw(Terminal(out, plain=True))
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Column heading.
        cells: Cells from the top; rows without a cell are empty.
        left: If True, aligns text to the left, else to the right.
        dropped: Order in which columns are dropped where the table is too wide; 0 for a column that always stays.
        style: Style of the cells.
        wraps: If True, cells may wrap between words.
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
    """Prints a table that fits the width of the console, without breaking names.

    Where the table is too wide, optional columns are dropped; if that does not suffice, each row is printed as several
    lines: its first cell, then ``heading: cell`` for the others.

    Args:
        console: Console to print to.
        columns: Columns of the table; the first one contains the names of the rows.
        title: Title above the table.
        styles: Styles of rows, by row number.
    """
    table = fit_table(console, columns, title, styles)
    console.print(table if table is not None else _stack_rows(console, columns, title), soft_wrap=table is None)


def fit_table(
    console: Console, columns: Sequence[Column], title: str = "", styles: Mapping[int, str] | None = None
) -> Table | None:
    """Returns the table without the columns that do not fit, or None if the mandatory columns do not fit."""
    ranks = sorted({column.dropped for column in columns if column.dropped})
    for last in (0, *ranks):
        kept = [column for column in columns if not 0 < column.dropped <= last]
        table = _build_table(console, kept, title, styles or {})
        if _measure_width(console, table) - sum(map(_compute_slack, kept)) <= console.width:
            return table
    return None


def _build_table(console: Console, columns: Sequence[Column], title: str, styles: Mapping[int, str]) -> Table:
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


def _measure_width(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(max_width=_UNLIMITED_WIDTH), table).maximum


def _compute_slack(column: Column) -> int:
    """Computes how many characters narrower than its longest cell a column can be."""
    if not column.wraps:
        return 0
    texts = [column.heading, *column.cells]
    words = [word for text in texts for word in escape_controls(text).split()]
    return max(map(cell_len, texts)) - max(map(cell_len, words), default=0)


def _stack_rows(console: Console, columns: Sequence[Column], title: str) -> Text:
    first, *others = columns
    lines = [title] if title else []
    for number, name in enumerate(first.cells):
        lines.append(name)
        entries = (
            f"{column.heading}: {' '.join(column.cells[number].split(chr(10)))}".removeprefix(": ")
            for column in others
            if number < len(column.cells) and column.cells[number]
        )
        lines += [f"  {line}" for line in _fill_lines(entries, console.width - 2)]
    return Text(escape_controls("\n".join(lines)))


def _fill_lines(pieces: Iterable[str], width: int) -> Iterator[str]:
    """Joins pieces into lines of at most ``width`` columns, without breaking a piece."""
    line = ""
    for piece in pieces:
        joined = f"{line}  {piece}" if line else piece
        if line and cell_len(joined) > width:
            yield line
            joined = piece
        line = joined
    if line:
        yield line
