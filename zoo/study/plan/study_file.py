"""Reading and checking of plans of studies, from ``study.yaml`` or a command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
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
from zoo.study.plan.preset_path import read_path
from zoo.study.plan.read_overrides import read_overrides
from zoo.study.plan.study_plan import StudyPlan
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
"""Keys of a study that have a structure of their own."""


def parse_plan(study: str) -> tuple[StudyPlan, list[str]]:
    """Returns the plan of a study, and the problems found in it.

    Args:
        study: Name, folder, or file of a study; or JSON of the keys of a study. In JSON, ``from`` is a file with the
            other keys, ``metrics`` and ``margin`` apply to all tasks, and ``words``, ``allowed``, and ``request`` are
            those of the plan.

    Raises:
        Refused: If there is no such study, or its file cannot be read.
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
    """Returns the plan of keys that a command line gave, over those of the file, if there is one."""
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
        Refused: If the file cannot be read.
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
    """Lists limits of the whole study that are exceeded: those of arms on tasks, and of runs."""
    runs = settings * (len(seeds.values) + (len(rates.values) * len(rates.seeds) if rates else 0))
    counts = (("arms times tasks", limits.SETTINGS, settings), ("runs", limits.CELLS, runs))
    return [limits.describe_excess("a study", what, most, got) for what, most, got in counts if got > most]


def _read_arms(
    given: Mapping[str, Any], common: Overrides, tasks: Iterable[TaskPlan], problems: list[str]
) -> tuple[str, Arms]:
    found = [kind for kind in PLANS if kind in given]
    if len(found) != 1:
        problems.append(f"a study must have exactly one of {', '.join(PLANS)}: got {', '.join(found) or 'none'}")
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
    """Lists settings that need another one, or exclude each other."""
    problems = [f"{name}: a name must not contain ${{" for name in arms.arms if "${" in name]  # Hydra would resolve it
    if baseline is None:
        needs: Mapping[str, Any] = {"seeds: until_decided": seeds.until_decided, "match": matching}
        known = suggest("", arms.arms)
        problems += [f"{key}: needs a baseline to compare with: {known}" for key, asked in needs.items() if asked]
    if seeds.until_decided and (seeded := [line.text for line in filters if line.has_name("seed")]):
        problems.append(f"where: must not use seed with seeds: until_decided: got {seeded[0]!r}")
    return problems
