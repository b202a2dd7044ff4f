"""Where a study stands at one moment: a table for people, or JSON; importing this loads neither torch nor Hydra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from zoo.study.cells.state import CellStatus, as_json, count_states, estimate_seconds_left, get_cell_status
from zoo.study.plan.setting import CellView, name_cell
from zoo.system.tables import Column, Terminal, print_table
from zoo.system.terminal import escape_controls
from zoo.units import format_duration


@dataclass(frozen=True)
class Overview:
    """The runs of a study as far as they are known.

    Attributes:
        name: of the study.
        question: that it asks.
        cells: its runs, in order.
        more: so many may become known later, at most.
        not_applicable: arm, task, and why the arm makes no sense there.
    """

    name: str
    question: str
    cells: Sequence[CellView]
    more: int = 0
    not_applicable: Sequence[tuple[str, str, str]] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns where all runs stand, for machines."""
        unfit = [dict(zip(("arm", "task", "why"), each, strict=True)) for each in self.not_applicable]
        found = [get_cell_status(cell) for cell in self.cells]
        return {"study": self.name, "more": self.more, "not_applicable": unfit, **as_json(found)}

    def print(self, terminal: Terminal) -> None:
        """Prints where all runs stand, for people."""
        print_question(self.name, self.question, terminal)
        for arm, task, why in self.not_applicable:
            terminal.print_line(f"not applicable: {task} {arm}: {why}")
        print_statuses([get_cell_status(cell) for cell in self.cells], self.more, terminal)


def print_question(name: str, question: str, terminal: Terminal) -> None:
    """Prints the heading of all that is said of a study."""
    terminal.print(Text.assemble((escape_controls(name), "bold"), f": {escape_controls(question)}"))


def print_statuses(found: Sequence[CellStatus[CellView]], more: int, terminal: Terminal) -> None:
    """Prints a table of arms and tasks, then what runs, what failed, and how long it will take."""
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
        if told := _describe(each):
            terminal.print_line(f"{each.state}: {name_cell(each.cell)}: {told}")
    terminal.print_line(summarize(found, more))


def _describe(each: CellStatus[CellView]) -> str:
    if each.state == "failed":
        return f"{first_line_of_error(each)}  {each.cell.folder.path}"
    if each.state not in ("running", "interrupted"):
        return ""
    by = f"  {each.process}" if each.process else ""
    return f"step {format_step(each)}{format_loss(each, '  loss ')}{format_silence(each, '  ')}{by}"


def first_line_of_error(each: CellStatus[CellView]) -> str:
    """Returns the first line of what a run failed of."""
    return next(iter(each.error.splitlines()), "")


def format_step(each: CellStatus[CellView]) -> str:
    """Returns the last step and how many there are."""
    return f"{each.step}/{each.cell.steps}"


def format_loss(each: CellStatus[CellView], before: str = "") -> str:
    """Returns the last loss, if there is one."""
    return "" if each.loss is None else f"{before}{each.loss:.4g}"


def format_silence(each: CellStatus[CellView], before: str = "") -> str:
    """Returns the time since something was logged, if anything was."""
    return "" if each.silent is None else f"{before}{format_duration(each.silent)} ago"


def summarize(found: Sequence[CellStatus[CellView]], more: int) -> str:
    """How many runs are done, and how long the others will take."""
    return summarize_with(found, more, estimate_seconds_left(found))


def summarize_with(found: Sequence[CellStatus[CellView]], more: int, left: float | None) -> str:
    """Returns the same line for a time left that is known already."""
    done = sum(each.state == "done" for each in found)
    ends = "" if left is None or done == len(found) else f", about {format_duration(left)} left"
    return f"{done} of {len(found)} runs done{ends}{later(more)}"


def later(more: int) -> str:
    """Of runs that are not known yet."""
    return f"; up to {more} more will follow" if more else ""
