"""Where a study stands, for people: a table at one moment, or one that stays in the terminal and keeps up."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from zoo.study.cells.rounds import Rounds
from zoo.study.cells.state import Standing, count, duration, seconds_left, standing_of
from zoo.study.plan.setting import Cell
from zoo.study.train_cells import Tell, say_error
from zoo.system.tables import Column, Terminal, print_table, table_that_fits
from zoo.training.run import run_folder

_FAILED = 5  # failures that are shown while a study runs


def show(found: Sequence[Standing], more: int, terminal: Terminal) -> None:
    """A table of arms and tasks, then what runs, what failed, and how long it will take."""
    groups: dict[tuple[str, str], list[Standing]] = {}
    for each in found:
        arm = each.cell.arm + (" (learning rates)" if each.cell.tuning else "")
        groups.setdefault((each.cell.task, arm), []).append(each)
    counts = [count(group) for group in groups.values()]
    columns = [
        Column("task", [task for task, _ in groups], left=True),
        Column("arm", [arm for _, arm in groups], left=True),
    ]
    columns += [Column(state, [str(counted.get(state, "")) for counted in counts]) for state in count(found)]
    print_table(terminal, columns)
    for each in found:
        if told := _told(each):
            terminal.print_line(f"{each.state}: {each.cell.name}: {told}")
    terminal.print_line(summarize(found, more))


def _told(each: Standing) -> str:
    if each.state == "failed":
        return f"{_error(each)}  {run_folder(each.cell.checked).path}"
    if each.state not in ("running", "interrupted"):
        return ""
    by = f"  {each.process}" if each.process else ""
    return f"step {_step(each)}{_loss(each, '  loss ')}{_heard(each, '  ')}{by}"


def _error(each: Standing) -> str:
    return next(iter(each.error.splitlines()), "")


def _step(each: Standing) -> str:
    return f"{each.step}/{each.cell.checked.config['steps']}"


def _loss(each: Standing, before: str = "") -> str:
    return "" if each.loss is None else f"{before}{each.loss:.4g}"


def _heard(each: Standing, before: str = "") -> str:
    return "" if each.silent is None else f"{before}{duration(each.silent)} ago"


def summarize(found: Sequence[Standing], more: int) -> str:
    """How many runs are done, and how long the others will take."""
    return _summary(found, more, seconds_left(found))


def _summary(found: Sequence[Standing], more: int, left: float | None) -> str:
    done = sum(each.state == "done" for each in found)
    ends = "" if left is None or done == len(found) else f", about {duration(left)} left"
    return f"{done} of {len(found)} runs done{ends}{later(more)}"


def later(more: int) -> str:
    """Of runs that are not known yet."""
    return f"; up to {more} more will follow" if more else ""


# ---------------------------------------------------------------------------------------------- while it runs


class Board:
    """What is shown of a study while it runs, read from the folders of its runs whenever it is drawn.

    Args:
        abreast: runs that go on side by side.
    """

    def __init__(self, abreast: int = 1) -> None:
        self.rounds, self.abreast = Rounds(()), abreast
        self._last: dict[str, Standing] = {}

    def found(self) -> list[Standing]:
        """Where all runs stand; one that is done is not looked at again."""
        return [self._standing(cell) for cell in self.rounds.cells]

    def _standing(self, cell: Cell) -> Standing:
        last = self._last.get(cell.checked.hash)
        if last is None or last.state != "done":
            with contextlib.suppress(OSError):  # a folder is just being set aside: what was seen last will do
                last = self._last[cell.checked.hash] = standing_of(cell)
        return last or Standing(cell, "planned")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        found = self.found()
        running = [each for each in found if each.state == "running"]
        failed = [each for each in found if each.state == "failed"]
        room = max(2, console.height - _FAILED - 6)
        shown = running[:room]
        columns = [
            Column("running", [each.cell.name for each in shown], left=True),
            Column("step", [_step(each) for each in shown]),
            Column("loss", [_loss(each) for each in shown], dropped=2),
            Column("heard from", [_heard(each) for each in shown], left=True, dropped=1),
        ]
        yield table_that_fits(console, columns) or Text("\n".join(f"{each.cell.name}  {_step(each)}" for each in shown))
        yield from _shortened(len(running) - room, "run")
        for each in failed[-_FAILED:]:
            line = Text(f"failed: {each.cell.name}: {_error(each)}", "red", no_wrap=True, overflow="ellipsis")
            yield line
        yield from _shortened(len(failed) - _FAILED, "failed")
        left = seconds_left([each for each in found if each.state != "failed"], self.abreast)
        steps = sum(1 - each.share_left for each in found)
        last = Table.grid(padding=(0, 1))
        last.add_row(
            ProgressBar(total=len(found) or 1, completed=steps, width=20), _summary(found, self.rounds.more, left)
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
