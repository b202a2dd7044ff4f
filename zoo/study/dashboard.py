"""Where a study stands while it runs: a table that stays in the terminal and keeps up."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from zoo.study.cells.overview import first_line_of_error, format_loss, format_silence, format_step, summarize_with
from zoo.study.cells.rounds import Rounds
from zoo.study.cells.state import CellStatus, estimate_seconds_left, get_cell_status
from zoo.study.plan.setting import Cell, name_cell
from zoo.study.train_cells import Tell, say_error
from zoo.system.tables import Column, Terminal, fit_table

_FAILED = 5  # failures that are shown while a study runs


# ---------------------------------------------------------------------------------------------- while it runs


class Board:
    """What is shown of a study while it runs, read from the folders of its runs whenever it is drawn.

    Args:
        abreast: runs that go on side by side.
    """

    def __init__(self, abreast: int = 1) -> None:
        self.rounds, self.abreast = Rounds(()), abreast
        self._last: dict[str, CellStatus[Cell]] = {}

    def found(self) -> list[CellStatus[Cell]]:
        """Where all runs stand; one that is done is not looked at again."""
        return [self._get_status(cell) for cell in self.rounds.cells]

    def _get_status(self, cell: Cell) -> CellStatus[Cell]:
        last = self._last.get(cell.hash)
        if last is None or last.state != "done":
            with contextlib.suppress(OSError):  # a folder is just being set aside: what was seen last will do
                last = self._last[cell.hash] = get_cell_status(cell)
        return last or CellStatus(cell, "planned")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self.found()
        running = [each for each in found if each.state == "running"]
        failed = [each for each in found if each.state == "failed"]
        room = max(2, console.height - _FAILED - 6)
        shown = running[:room]
        columns = [
            Column("running", [name_cell(each.cell) for each in shown], left=True),
            Column("step", [format_step(each) for each in shown]),
            Column("loss", [format_loss(each) for each in shown], dropped=2),
            Column("heard from", [format_silence(each) for each in shown], left=True, dropped=1),
        ]
        lines = "\n".join(f"{name_cell(each.cell)}  {format_step(each)}" for each in shown)
        yield fit_table(console, columns) or Text(lines)
        yield from _shortened(len(running) - room, "run")
        for each in failed[-_FAILED:]:
            told = f"failed: {name_cell(each.cell)}: {first_line_of_error(each)}"
            yield Text(told, "red", no_wrap=True, overflow="ellipsis")
        yield from _shortened(len(failed) - _FAILED, "failed")
        left = estimate_seconds_left([each for each in found if each.state != "failed"], self.abreast)
        steps = sum(1 - each.share_left for each in found)
        last = Table.grid(padding=(0, 1))
        last.add_row(
            ProgressBar(total=len(found) or 1, completed=steps, width=20), summarize_with(found, self.rounds.more, left)
        )
        yield last


def _shortened(number: int, what: str) -> Iterator[Text]:
    if number > 0:
        yield Text(f"and {number} more {what}")


@contextlib.contextmanager
def followed(board: Board, log: Path) -> Iterator[Tell]:
    """Keep the board in the terminal, if there is one, and yield what shows a line above it.

    What runs print would tear it: while it stands there, this process and those that it begins, whatever the launcher,
    write to ``log`` instead. Where there is no terminal, runs print their own lines.
    """
    if not Terminal().is_interactive:
        yield say_error
        return
    with _apart(log) as terminal:
        console = Terminal(file=terminal)
        console.print_line(f"what runs print: {log}")
        with keeping(board, console):
            yield console.print_line


def keeping(board: Board, console: Console) -> Live:
    """Draws the board once a second."""
    return Live(board, console=console, refresh_per_second=1, redirect_stdout=False, redirect_stderr=False)


@contextlib.contextmanager
def _apart(log: Path) -> Iterator[TextIO]:
    """Turn what goes to the terminal to a file, and yield the terminal.

    That is done to the numbers of the open files, which processes that are begun inherit.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    streams = {stream: os.dup(stream.fileno()) for stream in (sys.stdout, sys.stderr) if stream.isatty()}
    with log.open("a", encoding="utf8") as file, os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf8") as shown:
        try:
            for stream in streams:
                stream.flush()
                os.dup2(file.fileno(), stream.fileno())
            yield shown
        finally:
            for stream, kept in streams.items():
                stream.flush()
                os.dup2(kept, stream.fileno())
                os.close(kept)
