"""The runs of a study that are known so far, a function of its plan and of the results that exist.

Choosing a learning rate and stopping at a verdict need results of earlier runs, so the runs of a study become known in
rounds. The same results always give the same runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo.study.cells.expansion import Expansion
from zoo.study.cells.learning_rates import choose_arm_rate, list_tuning_cells
from zoo.study.cells.outcomes import ReadOutcome, build_outcome_reader
from zoo.study.cells.seed_counts import SeedCells, count_seeds
from zoo.study.plan.cell import Cell
from zoo.study.plan.study_plan import StudyPlan
from zoo.study.plan.tasks import TaskPlan


@dataclass(frozen=True)
class KnownCells:
    """The runs of a study that are known so far.

    Attributes:
        cells: Runs in order; those that serve the choice of learning rates come first.
        more: Maximum number of runs that may become known later.
        notes: Remarks on learning rates and seeds for readers of the report, by task.
    """

    cells: tuple[Cell, ...]
    more: int = 0
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def list_known_cells(plan: StudyPlan, expansion: Expansion, read_outcome: ReadOutcome | None = None) -> KnownCells:
    """Lists all runs that are known, given the results that exist.

    Args:
        plan: Plan of the study.
        expansion: Arms of the study on its tasks.
        read_outcome: Outcome of a run by the first metric of its task; by default read from the folder of the run.

    Raises:
        Refused: If it is unknown whether higher or lower values of a deciding metric are better.
    """
    read_outcome = read_outcome or build_outcome_reader(plan)
    parts = [_list_task_cells(plan, task, expansion, read_outcome) for task in plan.tasks]
    return KnownCells(
        tuple(cell for tuning in (True, False) for part in parts for cell in part.cells if cell.tuning is tuning),
        sum(part.more for part in parts),
        {task: notes for part in parts for task, notes in part.notes.items()},
    )


def _list_task_cells(plan: StudyPlan, task: TaskPlan, expansion: Expansion, read_outcome: ReadOutcome) -> KnownCells:
    tuning_cells: list[Cell] = []
    cells_by_arm: dict[str, SeedCells] = {}
    notes = []
    for setting in (each for each in expansion.settings if each.task == task.name):
        tries = list_tuning_cells(plan, setting)
        chosen = choose_arm_rate(setting.arm, task, tries, read_outcome)
        tuning_cells += [cell for cells in tries.values() for cell in cells]
        seeds = [seed for seed in plan.seeds if seed not in setting.left_out]
        cells_by_arm[setting.arm] = {
            seed: None if chosen is None else setting.build_cell(seed, chosen.rate) for seed in seeds
        }
        notes += [chosen.note] if chosen and chosen.note else []
    counts = dict.fromkeys(cells_by_arm, (len(plan.seeds), len(plan.seeds)))
    if plan.until_decided:
        counts, seed_notes = count_seeds(plan, task, cells_by_arm, read_outcome)
        notes += seed_notes
    cells, more = [], 0
    for arm, (needed, most) in counts.items():
        known = [cell for seed in plan.seeds[:needed] if (cell := cells_by_arm[arm].get(seed)) is not None]
        cells += known
        more += sum(seed in cells_by_arm[arm] for seed in plan.seeds[:most]) - len(known)
    return KnownCells((*tuning_cells, *cells), more, {task.name: tuple(notes)})
