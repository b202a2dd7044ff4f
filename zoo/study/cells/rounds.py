"""Which runs a study has by now: a function of its plan and of the results that are there, and of nothing else.

A learning rate that is chosen, and a verdict that ends a trial, need results of earlier runs. So the runs of a study
become known in rounds; whoever asks at the same results is told the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from zoo.checks import require
from zoo.report import Metric, Run, Task
from zoo.report.claims.saturation import find_saturated_end, replace_saturated
from zoo.report.records.comparability import restrict_comparison
from zoo.report.records.contrasts import convert_margin, find_interactions, find_references, subtract_by_seed
from zoo.report.records.metrics import SENSITIVE_METRICS
from zoo.statistics.trial import run_trial
from zoo.study.cells.expand import Expansion
from zoo.study.cells.learning_rates import Chosen, best
from zoo.study.plan.setting import Cell, Setting
from zoo.study.plan.study_file import StudyPlan, TaskPlan
from zoo.training.run import find_status, run_folder

FIRST = 4
"""Seeds of an arm before the first look: of fewer pairs, the interval sequence is infinite whatever they are."""

Outcome = float | Literal["lost"] | None
"""Of a run: its value, not finite if it diverged; lost if it ended without one; None while it has not ended."""
Look = Callable[[Cell], Outcome]
Runs = Mapping[int, Cell | None]
"""Of an arm, by seed; None while its learning rate is not known."""


@dataclass(frozen=True)
class Rounds:
    """The runs of a study as far as they are known.

    Attributes:
        cells: in order; on each task those that choose learning rates come first.
        more: so many may become known later, at most.
        notes: by task, what a reader should know of the choice of learning rates.
    """

    cells: tuple[Cell, ...]
    more: int = 0
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def due(plan: StudyPlan, expansion: Expansion, look: Look | None = None) -> Rounds:
    """All runs that are known at the results that there are.

    Args:
        plan: of the study.
        expansion: its arms on its tasks.
        look: what became of a run, by the first metric of its task; its folder tells if this is not given.

    Raises:
        Refused: if a metric that is to decide does not tell which way is better.
    """
    parts = [_of_task(plan, task, expansion, look or outcomes(plan)) for task in plan.tasks]
    return Rounds(
        tuple(cell for tuning in (True, False) for part in parts for cell in part.cells if cell.tuning is tuning),
        sum(part.more for part in parts),
        {task: notes for part in parts for task, notes in part.notes.items()},
    )


def outcomes(plan: StudyPlan, *, stale: bool = False) -> Look:
    """Looks at the folders of runs; what other code made has yet to be made, unless ``stale`` results count too."""
    metrics = {task.name: task.metrics for task in plan.tasks}

    def look(cell: Cell) -> Outcome:
        state = find_status(cell.checked)
        if state != "done" and not (stale and state == "stale"):
            return "lost" if state == "failed" else None
        result = run_folder(cell.checked).read("result.json") or {}
        values = [result["metrics"].get(name, "lost") for name in metrics[cell.task]]
        return math.nan if result.get("diverged") or None in values else values[0]

    return look


def _of_task(plan: StudyPlan, task: TaskPlan, expansion: Expansion, look: Look) -> Rounds:
    tuning: list[Cell] = []
    runs: dict[str, Runs] = {}
    notes = []
    for setting in (each for each in expansion.settings if each.task == task.name):
        tries = _tries(plan, setting)
        chosen = _chosen(setting.arm, task, tries, look)
        tuning += [cell for cells in tries.values() for cell in cells]
        seeds = [seed for seed in plan.seeds if seed not in setting.left_out]
        runs[setting.arm] = {seed: None if chosen is None else setting.cell(seed, chosen.rate) for seed in seeds}
        notes += [chosen.note] if chosen and chosen.note else []
    whole = len(plan.seeds)
    counts = dict.fromkeys(runs, (whole, whole))
    if plan.until_decided:
        counts, told = _counts(plan, task, runs, look)
        notes += told
    cells, more = [], 0
    for arm, (needed, most) in counts.items():
        known = [cell for seed in plan.seeds[:needed] if (cell := runs[arm].get(seed)) is not None]
        cells += known
        more += sum(seed in runs[arm] for seed in plan.seeds[:most]) - len(known)
    return Rounds((*tuning, *cells), more, {task.name: tuple(notes)})


# ---------------------------------------------------------------------------------------------- learning rates


def _tries(plan: StudyPlan, setting: Setting) -> dict[float, list[Cell]]:
    """By learning rate, the runs that try it."""
    if plan.rates is None:
        return {}
    seeds = [seed for seed in plan.rates.seeds if seed not in setting.left_out]
    return {rate: [setting.cell(seed, rate, tuning=True) for seed in seeds] for rate in plan.rates.values}


def _chosen(arm: str, task: TaskPlan, tries: Mapping[float, Sequence[Cell]], look: Look) -> Chosen | None:
    """The learning rate of a setting; None until all that try one have ended."""
    if not tries:
        return Chosen(None)
    values: dict[float, list[float]] = {rate: [] for rate in tries}
    for rate, cells in tries.items():
        for outcome in map(look, cells):
            if outcome is None:
                return None
            values[rate].append(math.nan if outcome == "lost" else outcome)
    metric = Metric.from_name(task.metrics[0])
    end = find_saturated_end(metric, values.values())
    others = (_told(tries, Metric.from_name(name)) for name in (*task.metrics[1:], *SENSITIVE_METRICS)) if end else ()
    for other, found in others:
        if found and find_saturated_end(other, found.values()) is None:
            chosen = best(arm, found, other)
            where = "the same" if end == "same" else f"at its {end}"
            note = f"The learning rate of {arm} was chosen by {other.label}: {metric.label} is {where} at all rates."
            return replace(chosen, note=f"{note} {chosen.note}".strip())
    return best(arm, values, metric)


def _told(tries: Mapping[float, Sequence[Cell]], metric: Metric) -> tuple[Metric, dict[float, list[float]]]:
    """A further metric of runs that have ended, by learning rate; none if a result does not tell it."""
    found: dict[float, list[float]] = {}
    for rate, cells in tries.items():
        for cell in cells:
            result = run_folder(cell.checked).read("result.json")
            if result and metric.name not in result["metrics"]:
                return metric, {}
            value = None if not result or result.get("diverged") else result["metrics"][metric.name]
            found.setdefault(rate, []).append(math.nan if value is None else value)
    return metric, found


# ---------------------------------------------------------------------------------------- seeds until a verdict


def _counts(
    plan: StudyPlan, task: TaskPlan, runs: Mapping[str, Runs], look: Look
) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Returns how many seeds each arm is known to need and may need, and what a reader should know of the metric.

    An arm is given seeds as long as a comparison that it is in has no verdict. Comparisons and metric are those of the
    report: where it judges by another metric than the first of the task, so do seeds.
    """
    goal = Metric.from_name(task.metrics[0]).goal
    known = f"got baseline={plan.baseline}, comparable={task.comparable}, metric={task.metrics[0]}"
    require(
        plan.baseline is not None and task.comparable and goal is not None,
        f"seeds: until_decided asks for a baseline, and on task {task.name} for arms that can be compared and a metric "
        f"that tells which way is better: {known}",
    )
    first = min(FIRST, len(plan.seeds))
    counts = dict.fromkeys(runs, (first, first))
    judged, told = _judge(task, runs, look)
    if not judged.comparable:
        return counts, told
    if judged.metrics[0] != task.metrics[0]:
        task, look = judged, _look_at(judged.metrics[0], look)
    ended = {arm: _ended(plan, of_arm, look) for arm, of_arm in runs.items()}
    pairs = [(arm, other) for arm, other in find_references(plan.baseline, plan.against, runs).items()]
    triples = find_interactions(plan.baseline, plan.factors, runs)
    groups = [*pairs, *((*triple, plan.baseline or "") for triple in triples)]
    for arms in groups:
        needed, most = _count(plan, task, [ended[arm] for arm in arms], len(groups))
        for arm in arms:
            counts[arm] = max(counts[arm][0], needed), max(counts[arm][1], most)
    return counts, told


def _judge(task: TaskPlan, runs: Mapping[str, Runs], look: Look) -> tuple[TaskPlan, list[str]]:
    """Returns the task as the report judges it by the results that there are, and a note if it is another one."""
    cells = [(arm, cell) for arm, of_arm in runs.items() for cell in of_arm.values() if cell is not None]
    values: dict[str, list[float]] = {arm: [] for arm in runs}
    ended = [(arm, cell, outcome) for arm, cell in cells if (outcome := look(cell)) is not None]
    for arm, _, outcome in ended:
        values[arm] += [] if outcome == "lost" else [outcome]
    metric = Metric.from_name(task.metrics[0])
    tokenizers = {repr((cell.checked.config.get("data") or {}).get("tokenizer")) for _, cell in cells}
    if any(values.values()) and find_saturated_end(metric, values.values()) is None and len(tokenizers) < 2:
        return task, []
    found = []
    for arm, cell, _ in ended:
        folder, config = cell.folder, cell.checked.config
        result = folder.read("result.json")
        found.append(Run(arm, task.name, cell.seed, folder.path, config, result, None, pl.DataFrame()))
    declared = Task(task.name, task.comparable, task.metrics, "", task.margin)
    judged, _ = replace_saturated(restrict_comparison(declared, found), found)
    if not judged.comparable:
        return replace(task, comparable=False), [f"No seeds follow the first {FIRST}, for the arms are not compared."]
    if judged.metrics[0] == metric.name:
        return task, []
    label = Metric.from_name(judged.metrics[0]).label
    told = f"Seeds are added until {label} decides, by which the arms are judged instead of {metric.label}."
    return replace(task, metrics=judged.metrics, margin=judged.margin), [told]


def _look_at(metric: str, look: Look) -> Look:
    """Returns a function that looks at runs as ``look`` does, but for another metric."""

    def look_at_metric(cell: Cell) -> Outcome:
        outcome = look(cell)
        result = None if outcome is None else cell.folder.read("result.json")
        if result is None:
            return outcome
        value = result["metrics"].get(metric, "lost")
        return math.nan if result.get("diverged") or value is None else value

    return look_at_metric


def _ended(plan: StudyPlan, runs: Runs, look: Look) -> dict[int, float | None]:
    """By seed, the values of the first runs, up to one that has not ended; None for one that is lost or left out."""
    found: dict[int, float | None] = {}
    for seed in plan.seeds:
        cell = runs.get(seed)
        outcome = look(cell) if cell is not None else None if seed in runs else "lost"
        if outcome is None:
            break
        found[seed] = None if outcome == "lost" else outcome
    return found


def _count(plan: StudyPlan, task: TaskPlan, ended: Sequence[Mapping[int, float | None]], of: int) -> tuple[int, int]:
    """How many seeds one of so many comparisons is known to need, and how many it may.

    Args:
        plan: of the study.
        task: whose first metric decides.
        ended: of an arm, and of the one that it is compared with; or of four, where differences are compared.
        of: number of comparisons that share the error.
    """
    first, most = min(FIRST, len(plan.seeds)), len(plan.seeds)
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
        arms=of,
    )
    if found.verdict is None or found.last is None:
        return min(len(seeds) + 1, most), most
    needed = max(first, plan.seeds.index(found.last) + 1)
    return needed, needed
