"""The runs of a study with their results, for its report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zoo.report import Run, Study, Task, read_run
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.known_cells import KnownCells, list_known_cells
from zoo.study.cells.load_plan import load_plan
from zoo.study.cells.outcomes import build_outcome_reader
from zoo.study.plan.cell import Cell
from zoo.study.plan.study_plan import StudyPlan
from zoo.study.plan.tasks import TaskPlan
from zoo.training.run import find_status


def gather_study(study: str, overrides: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """Returns a study, its runs with their current results, and the folder of its report.

    If no run has a current result, stale results count when the known runs are listed.

    Args:
        study: Name, folder, or file of the study; or JSON, see :func:`zoo.study.plan.study_file.parse_plan`.
        overrides: Overrides of all runs, applied last.
    """
    plan = load_plan(study)
    expansion = expand_plan(plan, ["threads=1", *overrides])
    known = list_known_cells(plan, expansion)
    if not any(find_status(cell.checked) == "done" for cell in known.cells):
        known = list_known_cells(plan, expansion, build_outcome_reader(plan, stale=True))
    described = describe_study(plan, expansion, known, overrides)
    return described, [read_cell_run(cell) for cell in known.cells], locate_report(plan, expansion)


def locate_report(plan: StudyPlan, expansion: Expansion) -> Path:
    """Returns the folder of the report of a study."""
    return Path(expansion.settings[0].checked.config.runs) / "reports" / plan.name


def describe_study(plan: StudyPlan, expansion: Expansion, known: KnownCells, overrides: Sequence[str]) -> Study:
    """Returns a study as its report describes it."""
    return Study(
        name=plan.name,
        question=plan.question,
        expected=plan.expected,
        baseline=plan.baseline,
        arms=plan.arms,
        tasks=tuple(_describe_task(task, known, expansion) for task in plan.tasks),
        not_applicable=expansion.not_applicable,
        command=shlex.join(["zoo", "study", *plan.words, *overrides]),
        against=plan.against,
        factors=plan.factors,
        matches=expansion.matches,
        until_decided=plan.until_decided,
        max_seeds=len(plan.seeds) if plan.until_decided else 0,
    )


def _describe_task(task: TaskPlan, known: KnownCells, expansion: Expansion) -> Task:
    """Returns a task with its note, to which remarks on its runs and side changes of its arms are appended."""
    changes = [
        f"{arm} also changes: {', '.join(what)}."
        for (arm, of), what in expansion.side_changes.items()
        if of == task.name
    ]
    note = " ".join([task.note, *known.notes[task.name], *changes]).strip()
    return Task(task.name, task.comparable, task.metrics, note, task.margin, task.of, task.size)


def read_cell_run(cell: Cell) -> Run:
    """Reads a run of a study from its folder."""
    run = read_run(cell.folder.path, cell.arm, cell.task, cell.seed)
    return replace(run, rate=cell.rate, tuning=cell.tuning, stale=find_status(cell.checked) == "stale")
