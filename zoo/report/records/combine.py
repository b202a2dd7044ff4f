"""Several studies side by side, as one."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from zoo.checks import require
from zoo.report.records.flat_configs import texts
from zoo.report.records.records import Run, Study, Task

Given = tuple[Study, Sequence[Run]]


def join(studies: Sequence[Given]) -> tuple[Study, list[Run]]:
    """One study of all arms and runs of several.

    Tasks of the same name, metrics and data are one; others that share a name get that of their study in front, and so
    do arms that share a name but not a config. The same run in two studies is one. The baseline is that of the first
    study if it is the baseline of all. Where one study added seeds until it was decided, all is judged by that rule,
    which holds for any number of seeds.

    Raises:
        Refused: if there is no study.
    """
    require(len(studies) > 0, "a report needs at least one study: got none")
    titled = [
        _titled(one, title) for one, title in zip(studies, _titles([study.name for study, _ in studies]), strict=True)
    ]
    named = _with_tasks_apart(titled)
    renamed = [_renamed_arms(one, clash) for one, clash in zip(named, _clashes(named), strict=True)]
    parts = [study for study, _ in renamed]
    tasks: dict[str, Task] = {}
    for study in parts:
        for task in study.tasks:
            tasks[task.name] = _same_task(tasks[task.name], task) if task.name in tasks else task
    baselines = {study.baseline for study in parts}
    adding = any(study.until_decided for study in parts)
    joined = Study(
        name=" and ".join(study.name for study in parts),
        question=_told(parts, "question"),
        expected=_told(parts, "expected"),
        baseline=parts[0].baseline if len(baselines) == 1 else None,
        arms=_all(parts, "arms"),
        tasks=tuple(tasks.values()),
        not_applicable=tuple(dict.fromkeys(reason for study in parts for reason in study.not_applicable)),
        command=shlex.join(["zoo", "report", *(study.name for study, _ in studies)]),
        against=_all(parts, "against"),
        factors=_all(parts, "factors"),
        moved=_all(parts, "moved"),
        until_decided=adding,
        most=max(study.most or len({run.seed for run in runs}) for study, runs in renamed) if adding else 0,
    )
    return joined, _once([run for _, runs in renamed for run in runs])


def _titles(names: Sequence[str]) -> list[str]:
    return [f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name for i, name in enumerate(names)]


def _titled(one: Given, title: str) -> Given:
    return replace(one[0], name=title), one[1]


def _told(parts: Sequence[Study], what: str) -> str:
    """What each study says, once if they say the same."""
    said = {study.name: getattr(study, what) for study in parts if getattr(study, what)}
    if len(set(said.values())) == 1:
        return str(next(iter(said.values())))
    return " ".join(f"{name}: {text}" for name, text in said.items())


def _all(parts: Sequence[Study], what: str) -> dict[Any, Any]:
    """Of two that share a name, the first."""
    found: dict[Any, Any] = {}
    for study in parts:
        found = {**found, **{key: value for key, value in getattr(study, what).items() if key not in found}}
    return found


def _same_task(first: Task, other: Task) -> Task:
    """One task of two studies; of what they do not agree on, what claims less."""
    notes = " ".join(dict.fromkeys(note for note in (first.note, other.note) if note))
    margin = first.margin if first.margin == other.margin else None
    apart = (
        " The studies set different margins of equality, so that none is used." if first.margin != other.margin else ""
    )
    return replace(
        first, comparable=first.comparable and other.comparable, note=f"{notes}{apart}".strip(), margin=margin
    )


# ------------------------------------------------------------------------------------------------------------ tasks


def _with_tasks_apart(studies: Sequence[Given]) -> list[Given]:
    """Tasks that share a name but not metrics or data get the name of their study in front."""
    seen: dict[str, list[tuple[tuple[str, ...], set[tuple[str, ...]]]]] = {}
    for study, runs in studies:
        for task in study.tasks:
            seen.setdefault(task.name, []).append((task.metrics, _data(runs, task.name)))
    apart = {
        name
        for name, found in seen.items()
        if any(one[0] != two[0] or (one[1] and two[1] and one[1] != two[1]) for one, two in combinations(found, 2))
    }
    return [_renamed_tasks(study, runs, apart) for study, runs in studies]


def _data(runs: Iterable[Run], task: str) -> set[tuple[str, ...]]:
    """The configs of data that a task's runs have; one, unless arms differ in it."""
    configs = (run.config for run in runs if run.task == task and run.config)
    return {tuple(f"{key}={value}" for key, value in texts({"data": config.get("data")}).items()) for config in configs}


def _renamed_tasks(study: Study, runs: Sequence[Run], apart: set[str]) -> Given:
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
        moved={(arm, names.get(task, task)): moved for (arm, task), moved in study.moved.items()},
    )
    return changed, [replace(run, task=names.get(run.task, run.task)) for run in runs]


# ------------------------------------------------------------------------------------------------------------- arms


def _clashes(studies: Sequence[Given]) -> list[set[str]]:
    """Of each study, the arms whose name another study gives to another config."""
    found: list[set[str]] = [set() for _ in studies]
    known = [_configs(*one) for one in studies]
    for (i, (first, _)), (j, (second, _)) in combinations(enumerate(studies), 2):
        for arm in first.arms.keys() & second.arms.keys():
            one, two = known[i].get(arm, {}), known[j].get(arm, {})
            shared = one.keys() & two.keys()
            same = all(one[task] == two[task] for task in shared) if shared else first.arms[arm] == second.arms[arm]
            for place in (i, j):
                found[place] |= set() if same else {arm}
    return found


def _configs(study: Study, runs: Sequence[Run]) -> dict[str, dict[str, Mapping[str, str]]]:
    """By arm and task, the config of its runs, without the seed."""
    found: dict[str, dict[str, Mapping[str, str]]] = {arm: {} for arm in study.arms}
    for run in runs:
        if run.config and not run.tuning and run.task not in found[run.arm]:
            found[run.arm][run.task] = texts(run.config)
    return found


def _renamed_arms(one: Given, clash: set[str]) -> Given:
    study, runs = one
    names = {arm: f"{study.name}: {arm}" if arm in clash else arm for arm in study.arms}
    changed = replace(
        study,
        baseline=None if study.baseline is None else names[study.baseline],
        arms={names[arm]: overrides for arm, overrides in study.arms.items()},
        not_applicable=tuple((names[arm], task, why) for arm, task, why in study.not_applicable),
        against={names[arm]: names[other] for arm, other in study.against.items()},
        factors={names[arm]: levels for arm, levels in study.factors.items()},
        moved={(names[arm], task): moved for (arm, task), moved in study.moved.items()},
    )
    return changed, [replace(run, arm=names[run.arm]) for run in runs]


def _once(runs: Sequence[Run]) -> list[Run]:
    """Each run once: of two of the same arm, task, seed and rate, the first that has a result."""
    found: dict[tuple[str, str, int, float | None, bool], Run] = {}
    for run in runs:
        key = (run.arm, run.task, run.seed, run.rate, run.tuning)
        if key not in found or (found[key].result is None and run.result is not None):
            found[key] = run
    return list(found.values())
