"""Runs the cells of a study that are missing, through any Hydra launcher, and reports on all of them."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from zoo.cost import cost, on_meta
from zoo.report import Run, Study, Task, print_summary, read_run, write_report
from zoo.show import vocabulary_size
from zoo.study.plan import Cell, StudyPlan, expand, find_study, read_study
from zoo.training.run import run_folder, standing

Launch = Callable[[Sequence[Sequence[str]]], None]


def sweep(study: str, further: Sequence[str], launch: Launch, *, dry_run: bool) -> int:
    """Run a study and write its report.

    What is there already is not run again; the state of a cell is that of its folder, whoever made it.

    Args:
        study: name, folder or file.
        further: overrides for all cells.
        launch: runs lists of overrides, each one training; its word on success is not taken.
        dry_run: print the cells and stop.
    Returns:
        how many cells have no result.
    """
    plan = read_study(find_study(study))
    cells = expand(plan, further)
    console = Console()
    missing = [cell for cell in cells if standing(cell.checked) != "done"]
    console.print(f"[bold]{plan.name}[/bold]: {plan.question}", highlight=False)
    if dry_run:
        console.print(_plan_table(cells))
        return len(missing)
    console.print(f"{len(cells)} runs, {len(cells) - len(missing)} there already", highlight=False)
    begun = time.monotonic()
    # Those with a result are launched too: whether the data are still the same, only the run itself can tell.
    total = len(cells)
    launched(launch, [(*cell.overrides, _label(cell, number, total)) for number, cell in enumerate(cells, 1)])
    left = [cell for cell in cells if run_folder(cell.checked).state != "done"]
    described, runs = _study(plan, further), _runs(cells)
    path = write_report(described, runs, _report_folder(plan, cells)).resolve()
    print_summary(described, runs, console)
    console.print(f"{len(cells) - len(left)} of {total} runs done in {time.monotonic() - begun:.0f} s", highlight=False)
    for cell in left:
        console.print(f"[red]no result[/red]: {cell.name}: {_why(cell)}", highlight=False)
    console.print(f"report: {path}", highlight=False, soft_wrap=True)
    return len(left)


def launched(launch: Launch, jobs: Sequence[Sequence[str]]) -> None:
    """Launch; what a launcher itself dies of is told, and the folders say what is missing.

    Ctrl-C reaches the workers too, and what comes back first may be an error of theirs.
    """
    heard: list[int] = []

    def hear(number: int, frame: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, hear)
    try:
        launch(jobs)
    except Exception as error:
        if heard:
            raise KeyboardInterrupt from error
        lines = [line for line in str(error).splitlines() if line.strip()]
        print(f"the launcher failed: {type(error).__name__}: {lines[-1] if lines else ''}", file=sys.stderr)
    finally:
        signal.signal(signal.SIGINT, before)


def gather(study: str, further: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """A study, its runs as they stand, and the folder of its report."""
    plan = read_study(find_study(study))
    cells = expand(plan, ["threads=1", *further])
    return _study(plan, further), _runs(cells), _report_folder(plan, cells)


def _report_folder(plan: StudyPlan, cells: Sequence[Cell]) -> Path:
    return Path(cells[0].checked.config["runs"]) / "reports" / plan.name


def _study(plan: StudyPlan, further: Sequence[str]) -> Study:
    tasks = tuple(Task(task.name, task.comparable, task.metrics, task.note) for task in plan.tasks)
    command = shlex.join(["zoo", "study", plan.name, *further])
    return Study(plan.name, plan.question, plan.expected, plan.baseline, plan.arms, tasks, (), command)


def _runs(cells: Sequence[Cell]) -> list[Run]:
    return [read_run(run_folder(cell.checked).path, cell.arm, cell.task, cell.seed) for cell in cells]


def _label(cell: Cell, number: int, total: int) -> str:
    return f'label="{number}/{total} {cell.name}"'


def _why(cell: Cell) -> str:
    failed = run_folder(cell.checked).read("failed.json")
    return str(failed["error"]) if failed else "it did not finish"


def _plan_table(cells: Sequence[Cell]) -> Table:
    """One row an arm and task, with the folders of its runs."""
    table = Table(
        "task", Column("arm", overflow="fold"), "parameters", "FLOPs/token", Column("runs", min_width=16), "state"
    )
    by_arm: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        by_arm.setdefault((cell.task, cell.arm), []).append(cell)
    for (task, arm), group in by_arm.items():
        states = Counter(standing(cell.checked) for cell in group)
        told = ", ".join(f"{count} {state}" for state, count in states.items())
        table.add_row(task, arm, *_costs(group[0]), "\n".join(cell.checked.hash for cell in group), told)
    return table


def _costs(cell: Cell) -> tuple[str, str]:
    """Parameters, and operations of training at full rows."""
    config, plan = cell.checked.config, cell.checked.plan
    if plan is None:
        return "", ""
    vocabulary = vocabulary_size(plan, config["data"], config["cache"])
    length = config["data"]["length"]
    what = cost(on_meta(plan, vocabulary), length, length)
    return f"{what.parameters:,}", f"{what.flops_per_token:,}"


def local_launcher(arguments: Sequence[str]) -> list[str]:
    """The launcher that a study takes unless it is told another: as many processes as cores, one thread each."""
    import torch

    chosen = any(argument.startswith("hydra/launcher=") for argument in arguments)
    threads = [] if any(argument.startswith("threads=") for argument in arguments) else ["threads=1"]
    if chosen or torch.cuda.is_available() or sys.platform == "win32":
        return threads
    return [*threads, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={os.cpu_count() or 1}"]
