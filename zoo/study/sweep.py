"""Runs the cells of a study that are missing, through any Hydra launcher, and reports on all of them."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from zoo.cost import cost, on_meta
from zoo.report import Run, Study, Task, print_summary, read_run, write_report
from zoo.show import vocabulary_size
from zoo.study import state
from zoo.study.cells import Launch, Policy, run_cells
from zoo.study.plan import Cell, StudyPlan, expand, find_study, read_study
from zoo.study.state import Standing, standing_of
from zoo.training.run import run_folder, standing


def sweep(study: str, further: Sequence[str], launch: Launch, *, dry_run: bool, policy: Policy) -> int:
    """Run a study and write its report.

    What is there already is not run again; the state of a cell is that of its folder, whoever made it.

    Args:
        study: name, folder or file.
        further: overrides for all cells.
        launch: runs lists of overrides, each one training; its word on success is not taken.
        dry_run: print the cells and stop.
        policy: what follows a failure.
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
    said = run_cells(cells, launch, policy)
    left = [each for each in map(standing_of, cells) if each.state != "done"]
    described, runs = _study(plan, further), _runs(cells)
    path = write_report(described, runs, _report_folder(plan, cells)).resolve()
    print_summary(described, runs, console)
    console.print(
        f"{len(cells) - len(left)} of {len(cells)} runs done in {time.monotonic() - begun:.0f} s", highlight=False
    )
    for each in left:
        told = f"{_why(each, said)}  {run_folder(each.cell.checked).path}"
        console.print(f"[red]no result[/red]: {each.cell.name}: {escape(told)}", highlight=False, soft_wrap=True)
    console.print(f"report: {path}", highlight=False, soft_wrap=True)
    return len(left)


def status(study: str, further: Sequence[str], *, as_json: bool) -> None:
    """Print where a study stands, also while it runs elsewhere."""
    plan = read_study(find_study(study))
    found = [standing_of(cell) for cell in expand(plan, further)]
    if as_json:
        print(json.dumps(state.as_json(plan.name, found), indent=1, ensure_ascii=False))
        return
    console = Console()
    console.print(f"[bold]{plan.name}[/bold]: {plan.question}", highlight=False)
    state.show(found, console)


def gather(study: str, further: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """A study, its runs as they stand, and the folder of its report."""
    plan = read_study(find_study(study))
    cells = expand(plan, ["threads=1", *further])
    return _study(plan, further), _runs(cells), _report_folder(plan, cells)


def _report_folder(plan: StudyPlan, cells: Sequence[Cell]) -> Path:
    return Path(cells[0].checked.config["runs"]) / "reports" / plan.name


def _study(plan: StudyPlan, further: Sequence[str]) -> Study:
    tasks = tuple(Task(task.name, task.comparable, task.metrics, task.note, task.margin) for task in plan.tasks)
    command = shlex.join(["zoo", "study", plan.name, *further])
    return Study(plan.name, plan.question, plan.expected, plan.baseline, plan.arms, tasks, (), command)


def _runs(cells: Sequence[Cell]) -> list[Run]:
    return [read_run(run_folder(cell.checked).path, cell.arm, cell.task, cell.seed) for cell in cells]


def _why(each: Standing, said: Mapping[str, str]) -> str:
    if each.error:
        return each.error
    if each.state == "running":
        return f"{each.process} trains it"
    return said.get(each.cell.checked.hash, "it was not begun" if each.state == "planned" else "it did not finish")


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
