"""What a study asks: ``study.yaml``, or a command line, read and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo import limits
from zoo.checks import suggest
from zoo.registry.options import Maybe, Option, Scalar, check_options
from zoo.study.plan.controls import Matching, Rates, Seeds, read_matching, read_rates, read_seeds
from zoo.study.plan.designs import READERS, RUN_FIELDS, Arms
from zoo.study.plan.filters import Filter, read_filter
from zoo.study.plan.find_study import find_study
from zoo.study.plan.parse_yaml import read_yaml_file
from zoo.study.plan.preset_path import read_path as read_path
from zoo.study.plan.read_overrides import read_overrides
from zoo.study.plan.tasks import Overrides, TaskPlan, read_tasks
from zoo.system.names import check_name

STUDY_OPTIONS = (
    Option("question", Scalar(str)),
    Option("expected", Scalar(str), ""),
    Option("baseline", Maybe(Scalar(str)), None),
    Option("max_seeds", Maybe(Scalar(int)), None),
)
PLANS = (*READERS, "path")
SECTIONS = ("seeds", "overrides", "tasks", "sizes", "match", "learning_rates", "where", *PLANS)
"""Keys of a study that are more than an option."""


@dataclass(frozen=True)
class StudyPlan:
    """A study as it is written, its arms made from whatever kind of plan it is.

    Attributes:
        seeds: those that are run; with ``until_decided`` the most that may be.
        arms: by name, their overrides.
        tasks: at several sizes, one a task and size.
        against: the arm that an arm is compared with, where that is not the baseline.
        factors: of an arm of two factors, its level of each; empty for the level of the baseline.
        matching: None leaves arms as they are.
        rates: None takes the learning rate that is configured.
        until_decided: seeds are added until each arm has a verdict.
        kind: of plan.
        axes: of an arm, what filters may ask of it.
        where: filters that all runs of the plan fulfill.
        words: of the command that asks for it, after ``zoo study``.
        allowed: modules and targets that its overrides may name besides those that any file may.
        request: arguments of ``zoo study`` that choose its runs; None if the plan is not that of a command.
    """

    name: str
    path: Path
    question: str
    expected: str
    baseline: str | None
    seeds: tuple[int, ...]
    overrides: Overrides
    arms: Mapping[str, Overrides]
    tasks: tuple[TaskPlan, ...]
    against: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    matching: Matching | None = None
    rates: Rates | None = None
    until_decided: bool = False
    kind: str = "arms"
    axes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    where: tuple[Filter, ...] = ()
    words: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    request: tuple[str, ...] | None = None


def parse_plan(study: str) -> tuple[StudyPlan, list[str]]:
    """Returns the plan of a study by name, or of what a command line said of one, and the problems found in it.

    Args:
        study: a name, folder or file; or JSON of the keys of a study, where ``from`` is a file that says the rest,
            ``metrics`` and ``margin`` are those of all tasks, ``words`` are what the command said, and ``allowed``
            what it allows the file to name, ``request`` is that of the plan.

    Raises:
        Refused: if there is no such study, or its file cannot be read.
    """
    if not study.startswith("{"):
        return parse_study(find_study(study))
    over = json.loads(study)
    words, allowed, file = tuple(over.pop("words", ())), tuple(over.pop("allowed", ())), over.pop("from", None)
    request = over.pop("request", None)
    plan, problems = _parse_command(over, file, words, allowed)
    return (plan if request is None else replace(plan, request=tuple(request))), problems


def _parse_command(
    over: dict[str, Any], file: str | None, words: tuple[str, ...], allowed: tuple[str, ...]
) -> tuple[StudyPlan, list[str]]:
    """Reads what a command line said of a study, over what its file says, if there is one."""
    if file is None:
        name = over.pop("name")
        return _read_plan(over, name, Path(), "", words, allowed)
    name = over.pop("name", Path(file).resolve().parent.name)
    given = read_yaml_file(Path(file))
    if any(kind in over for kind in PLANS):
        given = {key: value for key, value in given.items() if key not in PLANS}
    of_tasks = {key: over.pop(key) for key in ("metrics", "margin") if key in over}
    if of_tasks and isinstance(given.get("tasks"), Mapping):
        given["tasks"] = {name: {**(what or {}), **of_tasks} for name, what in given["tasks"].items()}
    return _read_plan(given | over, name, Path(file), f"{file}: ", words, allowed)


def parse_study(path: Path) -> tuple[StudyPlan, list[str]]:
    """Returns the plan in a study file and the problems found in it, each of which begins with the path.

    Raises:
        Refused: if the file cannot be read.
    """
    name = path.resolve().parent.name
    return _read_plan(read_yaml_file(path), name, path, f"{path}: ", (name,))


def _read_plan(
    given: Mapping[str, Any],
    name: str,
    path: Path,
    where: str,
    words: tuple[str, ...],
    allowed: tuple[str, ...] = (),
) -> tuple[StudyPlan, list[str]]:
    problems: list[str] = []
    problems += check_name("name", name)
    checked = check_options(STUDY_OPTIONS, given, "", problems, also=SECTIONS)
    seeds = read_seeds(given.get("seeds"), checked["max_seeds"], problems)
    common = read_overrides(given.get("overrides"), "overrides", problems)
    tasks = read_tasks(given, problems)
    kind, arms = _read_arms(given, common, tasks, problems)
    baseline = checked["baseline"] or arms.baseline
    if baseline is not None and baseline not in arms.arms and arms.arms:
        problems.append(f"baseline: unknown arm {baseline!r}: {suggest(baseline, arms.arms)}")
    matching = read_matching(given.get("match"), problems)
    rates = read_rates(given.get("learning_rates"), seeds.values, problems)
    filters = _read_filters(given.get("where"), arms, tasks, problems)
    problems += _find_conflicts(baseline, seeds, matching, filters, arms)
    problems += _find_excess(len(arms.arms) * len(tasks), seeds, rates)
    plan = StudyPlan(
        name,
        path,
        checked.get("question", ""),
        checked["expected"],
        baseline,
        seeds.values,
        common,
        arms.arms,
        tasks,
        {arm: other for arm, other in arms.against.items() if arm != baseline},
        arms.factors,
        matching,
        rates,
        seeds.until_decided,
        kind,
        arms.axes,
        filters,
        words,
        allowed,
    )
    return plan, [f"{where}{problem}" for problem in problems]


def _find_excess(settings: int, seeds: Seeds, rates: Rates | None) -> list[str]:
    """What is beyond the limits of a study as a whole: arms on tasks, and their runs."""
    runs = settings * (len(seeds.values) + (len(rates.values) * len(rates.seeds) if rates else 0))
    counts = (("arms times tasks", limits.SETTINGS, settings), ("runs", limits.CELLS, runs))
    return [limits.describe_excess("a study", what, most, got) for what, most, got in counts if got > most]


def _read_arms(
    given: Mapping[str, Any], common: Overrides, tasks: Iterable[TaskPlan], problems: list[str]
) -> tuple[str, Arms]:
    found = [kind for kind in PLANS if kind in given]
    if len(found) != 1:
        problems.append(f"a study must have one of {', '.join(PLANS)}: got {', '.join(found) or 'none'}")
        return "arms", Arms({})
    (kind,) = found
    if kind == "path":
        return kind, read_path(given[kind], common, {key for task in tasks for key in task.overrides}, problems)
    return kind, READERS[kind](given[kind], problems)


def _read_filters(given: Any, arms: Arms, tasks: Iterable[TaskPlan], problems: list[str]) -> tuple[Filter, ...]:
    lines = [given] if isinstance(given, str) else given or []
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        problems.append(f"where: must be a list of str: got {given!r}")
        return ()
    if len(lines) > limits.FILTERS:
        problems.append(limits.describe_excess("where", "filters", limits.FILTERS, len(lines)))
        return ()
    values = [value for axes in arms.axes.values() for value in axes.values()]
    words = {*arms.arms, *(name for task in tasks for name in (task.of, task.size) if name)}
    words |= {value for value in values if isinstance(value, str)}
    names = [*RUN_FIELDS, *dict.fromkeys(name for axes in arms.axes.values() for name in axes)]
    return tuple(read_filter(line, f"where[{i}]", names, sorted(words), problems) for i, line in enumerate(lines))


def _find_conflicts(
    baseline: str | None, seeds: Seeds, matching: Matching | None, filters: Iterable[Filter], arms: Arms
) -> list[str]:
    """What is asked for that needs something else."""
    problems = [f"{name}: a name must not hold ${{" for name in arms.arms if "${" in name]  # Hydra would resolve it
    if baseline is None:
        needs: Mapping[str, Any] = {"seeds: until_decided": seeds.until_decided, "match": matching}
        known = suggest("", arms.arms)
        problems += [f"{key}: needs a baseline to compare with: {known}" for key, asked in needs.items() if asked]
    if seeds.until_decided and (seeded := [line.text for line in filters if line.asks("seed")]):
        problems.append(f"where: until_decided chooses the seeds: got {seeded[0]!r}")
    return problems
