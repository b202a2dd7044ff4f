"""Combines several studies into one."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from zoo.checks import require
from zoo.report.records.records import Run, Study, Task
from zoo.runs.flat_configs import flatten_to_text

StudyRuns = tuple[Study, Sequence[Run]]


def combine_studies(studies: Sequence[StudyRuns]) -> tuple[Study, list[Run]]:
    """Combines studies into one with all of their arms and runs.

    Tasks of the same name, metrics and data are merged; other tasks that share a name are prefixed with the name of
    their study, as are arms that share a name but not a config. A run that is in two studies is kept once. The baseline
    is kept if it is the same in all studies. If one study added seeds until it was decided, all comparisons use the
    sequential rule, which is valid for any number of seeds.

    Raises:
        Refused: if there is no study.
    """
    require(len(studies) > 0, "a report needs at least one study: got none")
    titles = _number_titles([study.name for study, _ in studies])
    titled = [_set_title(one, title) for one, title in zip(studies, titles, strict=True)]
    named = _separate_tasks(titled)
    renamed = [_rename_arms(one, clash) for one, clash in zip(named, _find_clashes(named), strict=True)]
    parts = [study for study, _ in renamed]
    tasks: dict[str, Task] = {}
    for study in parts:
        for task in study.tasks:
            tasks[task.name] = _merge_tasks(tasks[task.name], task) if task.name in tasks else task
    baselines = {study.baseline for study in parts}
    adding = any(study.until_decided for study in parts)
    joined = Study(
        name=" and ".join(study.name for study in parts),
        question=_merge_texts(parts, "question"),
        expected=_merge_texts(parts, "expected"),
        baseline=parts[0].baseline if len(baselines) == 1 else None,
        arms=_merge_mappings(parts, "arms"),
        tasks=tuple(tasks.values()),
        not_applicable=tuple(dict.fromkeys(reason for study in parts for reason in study.not_applicable)),
        command=shlex.join(["zoo", "report", *(study.name for study, _ in studies)]),
        against=_merge_mappings(parts, "against"),
        factors=_merge_mappings(parts, "factors"),
        matches=_merge_mappings(parts, "matches"),
        until_decided=adding,
        max_seeds=max(study.max_seeds or len({run.seed for run in runs}) for study, runs in renamed) if adding else 0,
    )
    return joined, _deduplicate([run for _, runs in renamed for run in runs])


def _number_titles(names: Sequence[str]) -> list[str]:
    return [f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name for i, name in enumerate(names)]


def _set_title(one: StudyRuns, title: str) -> StudyRuns:
    return replace(one[0], name=title), one[1]


def _merge_texts(parts: Sequence[Study], attribute: str) -> str:
    """Joins the texts of the studies, each with the name of its study; a text that all share is given once."""
    texts = {study.name: getattr(study, attribute) for study in parts if getattr(study, attribute)}
    if len(set(texts.values())) == 1:
        return str(next(iter(texts.values())))
    return " ".join(f"{name}: {text}" for name, text in texts.items())


def _merge_mappings(parts: Sequence[Study], attribute: str) -> dict[Any, Any]:
    """Merges a mapping of the studies; the first study wins where they share a key."""
    found: dict[Any, Any] = {}
    for study in parts:
        found = {**found, **{key: value for key, value in getattr(study, attribute).items() if key not in found}}
    return found


def _merge_tasks(first: Task, other: Task) -> Task:
    """Merges a task of two studies; where they disagree, the merged task claims less."""
    notes = " ".join(dict.fromkeys(note for note in (first.note, other.note) if note))
    margin = first.margin if first.margin == other.margin else None
    apart = (
        " The studies set different margins of equivalence, so none is used." if first.margin != other.margin else ""
    )
    return replace(
        first, comparable=first.comparable and other.comparable, note=f"{notes}{apart}".strip(), margin=margin
    )


# ------------------------------------------------------------------------------------------------------------ tasks


def _separate_tasks(studies: Sequence[StudyRuns]) -> list[StudyRuns]:
    """Prefixes tasks that share a name but not metrics or data with the name of their study."""
    seen: dict[str, list[tuple[tuple[str, ...], set[tuple[str, ...]]]]] = {}
    for study, runs in studies:
        for task in study.tasks:
            seen.setdefault(task.name, []).append((task.metrics, _collect_data_configs(runs, task.name)))
    apart = {
        name
        for name, found in seen.items()
        if any(one[0] != two[0] or (one[1] and two[1] and one[1] != two[1]) for one, two in combinations(found, 2))
    }
    return [_rename_tasks(study, runs, apart) for study, runs in studies]


def _collect_data_configs(runs: Iterable[Run], task: str) -> set[tuple[str, ...]]:
    """Returns the data configs of the runs of a task: one, unless arms differ in it."""
    flat = (flatten_to_text({"data": run.get_section("data")}) for run in runs if run.task == task and run.config)
    return {tuple(f"{key}={value}" for key, value in values.items()) for values in flat}


def _rename_tasks(study: Study, runs: Sequence[Run], apart: set[str]) -> StudyRuns:
    names = {task.name: f"{study.name}: {task.name}" for task in study.tasks if task.name in apart}
    tasks = tuple(
        replace(task, name=names[task.name], of=f"{study.name}: {task.of}" if task.of else "")
        if task.name in names
        else task
        for task in study.tasks
    )
    changed = replace(
        study,
        tasks=tasks,
        not_applicable=tuple((arm, names.get(task, task), why) for arm, task, why in study.not_applicable),
        matches={(arm, names.get(task, task)): found for (arm, task), found in study.matches.items()},
    )
    return changed, [replace(run, task=names.get(run.task, run.task)) for run in runs]


# ------------------------------------------------------------------------------------------------------------- arms


def _find_clashes(studies: Sequence[StudyRuns]) -> list[set[str]]:
    """Returns, for each study, the arms whose name another study uses for a different config."""
    found: list[set[str]] = [set() for _ in studies]
    known = [_collect_configs(*one) for one in studies]
    for (i, (first, _)), (j, (second, _)) in combinations(enumerate(studies), 2):
        for arm in first.arms.keys() & second.arms.keys():
            one, two = known[i].get(arm, {}), known[j].get(arm, {})
            shared = one.keys() & two.keys()
            same = all(one[task] == two[task] for task in shared) if shared else first.arms[arm] == second.arms[arm]
            for place in (i, j):
                found[place] |= set() if same else {arm}
    return found


def _collect_configs(study: Study, runs: Sequence[Run]) -> dict[str, dict[str, Mapping[str, str]]]:
    """Returns the config of the runs by arm and task, without the seed."""
    found: dict[str, dict[str, Mapping[str, str]]] = {arm: {} for arm in study.arms}
    for run in runs:
        if run.config and not run.tuning and run.task not in found[run.arm]:
            found[run.arm][run.task] = flatten_to_text(run.config)
    return found


def _rename_arms(one: StudyRuns, clash: set[str]) -> StudyRuns:
    study, runs = one
    names = {arm: f"{study.name}: {arm}" if arm in clash else arm for arm in study.arms}
    changed = replace(
        study,
        baseline=None if study.baseline is None else names[study.baseline],
        arms={names[arm]: overrides for arm, overrides in study.arms.items()},
        not_applicable=tuple((names[arm], task, why) for arm, task, why in study.not_applicable),
        against={names[arm]: names[other] for arm, other in study.against.items()},
        factors={names[arm]: levels for arm, levels in study.factors.items()},
        matches={(names[arm], task): found for (arm, task), found in study.matches.items()},
    )
    return changed, [replace(run, arm=names[run.arm]) for run in runs]


def _deduplicate(runs: Sequence[Run]) -> list[Run]:
    """Keeps each run once: of runs with the same arm, task, seed and rate, the first that has a result."""
    found: dict[tuple[str, str, int, float | None, bool], Run] = {}
    for run in runs:
        key = (run.arm, run.task, run.seed, run.rate, run.tuning)
        if key not in found or (found[key].result is None and run.result is not None):
            found[key] = run
    return list(found.values())
