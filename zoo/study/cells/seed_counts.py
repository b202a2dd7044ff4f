"""Number of seeds that each arm needs until its comparisons have verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from zoo.checks import require
from zoo.report import Metric, Run, Task
from zoo.report.claims.saturation import find_saturated_end, replace_saturated
from zoo.report.records.comparability import restrict_comparison
from zoo.report.records.contrasts import convert_margin, find_interactions, find_references, subtract_by_seed
from zoo.statistics.trial import run_trial
from zoo.study.cells.outcomes import ReadOutcome, build_metric_reader
from zoo.study.plan.cell import Cell
from zoo.study.plan.study_plan import StudyPlan
from zoo.study.plan.tasks import TaskPlan

FIRST_SEEDS = 4
"""Seeds of an arm before the first test: with fewer pairs, the confidence sequence is infinite in any case."""
SeedCells = Mapping[int, Cell | None]
"""Runs of an arm by seed; None while the learning rate of the arm is unknown."""


def count_seeds(
    plan: StudyPlan, task: TaskPlan, cells_by_arm: Mapping[str, SeedCells], read_outcome: ReadOutcome
) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Counts the seeds of each arm on a task, for a study with ``seeds: until_decided``.

    An arm gets more seeds as long as one of its comparisons has no verdict. Comparisons and metric are those of the
    report: where it judges by another metric than the first of the task, so does this function.

    Returns:
        Number of seeds known to be needed and maximum number, by arm; and remarks for readers of the report.

    Raises:
        Refused: If the study has no baseline, the task is not comparable, or it is unknown whether higher or lower
            values of its first metric are better.
    """
    goal = Metric.from_name(task.metrics[0]).goal
    known = f"got baseline={plan.baseline}, comparable={task.comparable}, metric={task.metrics[0]}"
    require(
        plan.baseline is not None and task.comparable and goal is not None,
        f"seeds: until_decided asks for a baseline, and on task {task.name} for arms that can be compared and a metric "
        f"that tells which way is better: {known}",
    )
    first = min(FIRST_SEEDS, len(plan.seeds))
    counts = dict.fromkeys(cells_by_arm, (first, first))
    judged, notes = _find_judged_task(task, cells_by_arm, read_outcome)
    if not judged.comparable:
        return counts, notes
    if judged.metrics[0] != task.metrics[0]:
        task, read_outcome = judged, build_metric_reader(judged.metrics[0], read_outcome)
    ended = {arm: _collect_ended_values(plan, cells, read_outcome) for arm, cells in cells_by_arm.items()}
    pairs = [(arm, other) for arm, other in find_references(plan.baseline, plan.against, cells_by_arm).items()]
    triples = find_interactions(plan.baseline, plan.factors, cells_by_arm)
    groups = [*pairs, *((*triple, plan.baseline or "") for triple in triples)]
    for arms in groups:
        needed, most = _count_comparison_seeds(plan, task, [ended[arm] for arm in arms], len(groups))
        for arm in arms:
            counts[arm] = max(counts[arm][0], needed), max(counts[arm][1], most)
    return counts, notes


def _find_judged_task(
    task: TaskPlan, cells_by_arm: Mapping[str, SeedCells], read_outcome: ReadOutcome
) -> tuple[TaskPlan, list[str]]:
    """Returns the task as the report judges it, given the results that exist, and a remark if that is another one."""
    cells = [(arm, cell) for arm, of_arm in cells_by_arm.items() for cell in of_arm.values() if cell is not None]
    values: dict[str, list[float]] = {arm: [] for arm in cells_by_arm}
    ended = [(arm, cell, outcome) for arm, cell in cells if (outcome := read_outcome(cell)) is not None]
    for arm, _, outcome in ended:
        values[arm] += [] if outcome == "lost" else [outcome]
    metric = Metric.from_name(task.metrics[0])
    tokenizers = {repr(cell.checked.config.data.tokenizer) for _, cell in cells}
    if any(values.values()) and find_saturated_end(metric, values.values()) is None and len(tokenizers) < 2:
        return task, []
    found = []
    for arm, cell, _ in ended:
        folder, config = cell.folder, cell.checked.config.as_mapping()
        result = folder.read_result()
        found.append(Run(arm, task.name, cell.seed, folder.path, config, result, None, pl.DataFrame()))
    declared = Task(task.name, task.comparable, task.metrics, "", task.margin)
    judged, _ = replace_saturated(restrict_comparison(declared, found), found)
    if not judged.comparable:
        return replace(task, comparable=False), [
            f"No seeds follow the first {FIRST_SEEDS}, for the arms are not compared."
        ]
    if judged.metrics[0] == metric.name:
        return task, []
    label = Metric.from_name(judged.metrics[0]).label
    note = f"Seeds are added until {label} decides, by which the arms are judged instead of {metric.label}."
    return replace(task, metrics=judged.metrics, margin=judged.margin), [note]


def _collect_ended_values(plan: StudyPlan, cells: SeedCells, read_outcome: ReadOutcome) -> dict[int, float | None]:
    """Collects values by seed, up to the first run that has not ended; None for a run that is lost or left out."""
    found: dict[int, float | None] = {}
    for seed in plan.seeds:
        cell = cells.get(seed)
        outcome = read_outcome(cell) if cell is not None else None if seed in cells else "lost"
        if outcome is None:
            break
        found[seed] = None if outcome == "lost" else outcome
    return found


def _count_comparison_seeds(
    plan: StudyPlan, task: TaskPlan, ended: Sequence[Mapping[int, float | None]], comparisons: int
) -> tuple[int, int]:
    """Counts the seeds that a comparison is known to need, and its maximum number.

    Args:
        plan: Plan of the study.
        task: Task whose first metric decides.
        ended: Values by seed of an arm and its reference; or of four arms, where differences are compared.
        comparisons: Number of comparisons that share the error rate.
    """
    first, most = min(FIRST_SEEDS, len(plan.seeds)), len(plan.seeds)
    seeds = plan.seeds[: min(map(len, ended))]
    if len(seeds) < first:
        return first, most
    values = [{seed: value for seed in seeds if (value := each[seed]) is not None} for each in ended]
    arm, other = values if len(values) == 2 else (subtract_by_seed(*values[:2]), subtract_by_seed(*values[2:]))
    metric = Metric.from_name(task.metrics[0])
    found = run_trial(
        arm,
        other,
        most=most,
        higher_is_better=metric.goal == "higher",
        margin=convert_margin(task.margin, metric),
        arms=comparisons,
    )
    if found.verdict is None or found.last is None:
        return min(len(seeds) + 1, most), most
    needed = max(first, plan.seeds.index(found.last) + 1)
    return needed, needed
