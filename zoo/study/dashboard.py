"""Dashboard of a running study: a table in the terminal that is redrawn every second."""

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

from zoo.study.cells.cell_status import CellStatus, estimate_seconds_left, get_cell_status
from zoo.study.cells.known_cells import KnownCells
from zoo.study.cells.overview import format_loss, format_progress, format_silence, format_step, get_first_error_line
from zoo.study.plan.cell import Cell, name_cell
from zoo.study.train_cells import PrintLine, print_error_line
from zoo.system.tables import Column, Terminal, fit_table

_MAX_FAILED = 5  # failed runs that are shown


class Dashboard:
    """Renderable status of a running study, read from the folders of its runs whenever it is drawn.

    Args:
        parallel_runs: Number of runs that run at a time.
    """

    def __init__(self, parallel_runs: int = 1) -> None:
        self.known, self.parallel_runs = KnownCells(()), parallel_runs
        self._last: dict[str, CellStatus[Cell]] = {}

    def get_statuses(self) -> list[CellStatus[Cell]]:
        """Returns the status of all runs; finished runs are not read again."""
        return [self._get_status(cell) for cell in self.known.cells]

    def _get_status(self, cell: Cell) -> CellStatus[Cell]:
        last = self._last.get(cell.hash)
        if last is None or last.state != "done":
            with contextlib.suppress(OSError):  # a stale run is just being moved away: the last status is kept
                last = self._last[cell.hash] = get_cell_status(cell)
        return last or CellStatus(cell, "planned")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        statuses = self.get_statuses()
        running = [status for status in statuses if status.state == "running"]
        failed = [status for status in statuses if status.state == "failed"]
        rows = max(2, console.height - _MAX_FAILED - 6)
        shown = running[:rows]
        columns = [
            Column("running", [name_cell(status.cell) for status in shown], left=True),
            Column("step", [format_step(status) for status in shown]),
            Column("loss", [format_loss(status) for status in shown], dropped=2),
            Column("last update", [format_silence(status) for status in shown], left=True, dropped=1),
        ]
        lines = "\n".join(f"{name_cell(status.cell)}  {format_step(status)}" for status in shown)
        yield fit_table(console, columns) or Text(lines)
        yield from _describe_hidden(len(running) - rows, "running")
        for status in failed[-_MAX_FAILED:]:
            line = f"failed: {name_cell(status.cell)}: {get_first_error_line(status)}"
            yield Text(line, "red", no_wrap=True, overflow="ellipsis")
        yield from _describe_hidden(len(failed) - _MAX_FAILED, "failed")
        left = estimate_seconds_left([each for each in statuses if each.state != "failed"], self.parallel_runs)
        progress = sum(1 - status.share_left for status in statuses)
        bar = ProgressBar(total=len(statuses) or 1, completed=progress, width=20)
        last_line = Table.grid(padding=(0, 1))
        last_line.add_row(bar, format_progress(statuses, self.known.more, left))
        yield last_line


def _describe_hidden(count: int, state: str) -> Iterator[Text]:
    if count > 0:
        yield Text(f"and {count} more {state}")


@contextlib.contextmanager
def show_dashboard(dashboard: Dashboard, log: Path) -> Iterator[PrintLine]:
    """Shows the dashboard in the terminal, if there is one, and yields a function that prints a line above it.

    Output of the runs would break the dashboard. While it is shown, this process and its children write to ``log``
    instead, whatever the launcher. Without a terminal, runs print their own lines.
    """
    if not (sys.stdout.isatty() and Terminal().is_interactive):  # Jupyter asks for color where no cursor can move
        yield print_error_line
        return
    with _redirect_terminal(log) as terminal:
        console = Terminal(file=terminal)
        console.print_line(f"output of the runs: {log}")
        with build_live_display(dashboard, console):
            yield console.print_line


def build_live_display(dashboard: Dashboard, console: Console) -> Live:
    """Returns a context manager that draws the dashboard once a second."""
    return Live(dashboard, console=console, refresh_per_second=1, redirect_stdout=False, redirect_stderr=False)


@contextlib.contextmanager
def _redirect_terminal(log: Path) -> Iterator[TextIO]:
    """Redirects output to the terminal into a file, and yields a stream to the terminal.

    The file descriptors themselves are redirected, since child processes inherit these.
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
            for stream, saved in streams.items():
                stream.flush()
                os.dup2(saved, stream.fileno())
                os.close(saved)
