"""Overview of a study: the status of all its runs as a table or as JSON.

Importing this module loads neither torch nor Hydra.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from zoo.study.cells.cell_status import (
    CellStatus,
    build_status_json,
    count_states,
    estimate_seconds_left,
    get_cell_status,
)
from zoo.study.plan.cell import CellView, name_cell
from zoo.system.tables import Column, Terminal, print_table
from zoo.system.terminal import escape_controls
from zoo.system.units import format_duration


@dataclass(frozen=True)
class Overview:
    """The runs of a study that are known so far.

    Attributes:
        name: Name of the study.
        question: Question of the study.
        cells: Runs of the study, in order.
        more: Maximum number of runs that may become known later.
        not_applicable: Arm, task, and the reason why the arm cannot be built there.
    """

    name: str
    question: str
    cells: Sequence[CellView]
    more: int = 0
    not_applicable: Sequence[tuple[str, str, str]] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns the status of all runs as JSON types."""
        unfit = [dict(zip(("arm", "task", "why"), each, strict=True)) for each in self.not_applicable]
        found = [get_cell_status(cell) for cell in self.cells]
        return {"study": self.name, "more": self.more, "not_applicable": unfit, **build_status_json(found)}

    def print(self, terminal: Terminal) -> None:
        """Prints the status of all runs."""
        print_question(self.name, self.question, terminal)
        for arm, task, why in self.not_applicable:
            terminal.print_line(f"not applicable: {task} {arm}: {why}")
        print_statuses([get_cell_status(cell) for cell in self.cells], self.more, terminal)


def print_question(name: str, question: str, terminal: Terminal) -> None:
    """Prints the name of a study and its question."""
    terminal.print(Text.assemble((escape_controls(name), "bold"), f": {escape_controls(question)}"))


def print_statuses(found: Sequence[CellStatus[CellView]], more: int, terminal: Terminal) -> None:
    """Prints a table of states by task and arm, then unfinished runs one by one, and the time left."""
    groups: dict[tuple[str, str], list[CellStatus[CellView]]] = {}
    for each in found:
        arm = each.cell.arm + (" (learning rates)" if each.cell.tuning else "")
        groups.setdefault((each.cell.task, arm), []).append(each)
    counts = [count_states(group) for group in groups.values()]
    columns = [
        Column("task", [task for task, _ in groups], left=True),
        Column("arm", [arm for _, arm in groups], left=True),
    ]
    columns += [Column(state, [str(counted.get(state, "")) for counted in counts]) for state in count_states(found)]
    print_table(terminal, columns)
    for each in found:
        if description := _describe_status(each):
            terminal.print_line(f"{each.state}: {name_cell(each.cell)}: {description}")
    terminal.print_line(summarize_progress(found, more))


def _describe_status(each: CellStatus[CellView]) -> str:
    if each.state == "failed":
        return f"{get_first_error_line(each)}  {each.cell.folder.path}"
    if each.state not in ("running", "interrupted"):
        return ""
    by = f"  {each.process}" if each.process else ""
    return f"step {format_step(each)}{format_loss(each, '  loss ')}{format_silence(each, '  logged ')}{by}"


def get_first_error_line(each: CellStatus[CellView]) -> str:
    """Returns the first line of the error of a failed run."""
    return next(iter(each.error.splitlines()), "")


def format_step(each: CellStatus[CellView]) -> str:
    """Returns the last step and the number of steps."""
    return f"{each.step}/{each.cell.steps}"


def format_loss(each: CellStatus[CellView], before: str = "") -> str:
    """Returns the last loss, or an empty text if there is none."""
    return "" if each.loss is None else f"{before}{each.loss:.4g}"


def format_silence(each: CellStatus[CellView], before: str = "") -> str:
    """Returns the time since the last log entry, or an empty text if there is none."""
    return "" if each.silent is None else f"{before}{format_duration(each.silent)} ago"


def summarize_progress(found: Sequence[CellStatus[CellView]], more: int) -> str:
    """Returns a line with the number of finished runs and the estimated time left."""
    return format_progress(found, more, estimate_seconds_left(found))


def format_progress(found: Sequence[CellStatus[CellView]], more: int, left: float | None) -> str:
    """Returns the line of :func:`summarize_progress` for a time left in seconds, None if unknown."""
    done = sum(each.state == "done" for each in found)
    ends = "" if left is None or done == len(found) else f", about {format_duration(left)} left"
    return f"{done} of {len(found)} runs done{ends}{format_more(more)}"


def format_more(more: int) -> str:
    """Returns a remark on runs that may become known later, or an empty text if there are none."""
    return f"; up to {more} more will follow" if more else ""
