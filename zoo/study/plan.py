"""What a study asks: ``study.yaml``, read and checked, and expanded into cells before anything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from zoo.checking import Checked, check_run
from zoo.checks import Refused, suggest
from zoo.config import compose_run, folder
from zoo.options import REQUIRED, Many, Maybe, Option, Scalar, check_options

STUDY_OPTIONS = (
    Option("question", Scalar(str)),
    Option("expected", Scalar(str), ""),
    Option("baseline", Maybe(Scalar(str)), None),
    Option("seeds", Many(Scalar(int))),
)
TASK_OPTIONS = (
    Option("metrics", Many(Scalar(str))),
    Option("comparable", Scalar(bool), True),
    Option("margin", Maybe(Scalar(float)), None),
    Option("note", Scalar(str), ""),
)

Overrides = Mapping[str, Any]


@dataclass(frozen=True)
class TaskPlan:
    """What arms are trained on, and by which metrics they are compared; the first is the primary one.

    Differences of it up to ``margin`` count as none; in points of a percent if it is a share.
    """

    name: str
    metrics: tuple[str, ...]
    comparable: bool
    note: str
    overrides: Overrides
    margin: float | None = None


@dataclass(frozen=True)
class StudyPlan:
    """A study as it is written."""

    name: str
    path: Path
    question: str
    expected: str
    baseline: str | None
    seeds: tuple[int, ...]
    overrides: Overrides
    arms: Mapping[str, Overrides]
    tasks: tuple[TaskPlan, ...]


@dataclass(frozen=True)
class Cell:
    """One run of a study: an arm, a task, a seed, and what ``zoo train`` would be told."""

    arm: str
    task: str
    seed: int
    overrides: tuple[str, ...]
    checked: Checked

    @property
    def name(self) -> str:
        """Names the cell in lines."""
        return f"{self.task} {self.arm} seed {self.seed}"


def find_study(name: str) -> Path:
    """The ``study.yaml`` of a study named, or given by its folder or file.

    Raises:
        Refused: with the studies that there are.
    """
    for path in (Path(name), Path(name) / "study.yaml", folder("experiments") / name / "study.yaml"):
        if path.is_file():
            return path
    names = [path.parent.name for path in folder("experiments").glob("*/study.yaml")]
    raise Refused(f"unknown study {name!r}: {suggest(name, names)}")


def read_study(path: Path) -> StudyPlan:
    """Read a study; all that is wrong with its own keys is refused at once."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf8"))
    except yaml.YAMLError as error:
        raise Refused(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, Mapping):
        raise Refused(f"{path} must be a mapping: got {type(given).__name__}")
    problems: list[str] = []
    also = ("overrides", "arms", "tasks")
    checked = check_options(STUDY_OPTIONS, given, "", problems, also=also)
    sections = {key: _mapping(given.get(key, {}), key, problems) for key in also}
    arms = {name: _mapping(what or {}, f"arms.{name}", problems) for name, what in sections["arms"].items()}
    tasks = [_task(name, what, problems) for name, what in sections["tasks"].items()]
    if not arms or not tasks:
        problems.append(f"arms and tasks must not be empty: got {len(arms)} arms, {len(tasks)} tasks")
    if checked.get("baseline") is not None and checked["baseline"] not in arms:
        problems.append(f"baseline: unknown arm {checked['baseline']!r}: {suggest(checked['baseline'], arms)}")
    if len(set(checked.get("seeds", ()))) != len(checked.get("seeds", ())) or checked.get("seeds") == []:
        problems.append(f"seeds: must be different numbers, at least one: got {checked['seeds']}")
    if problems:
        raise Refused("\n".join(f"{path}: {problem}" for problem in problems))
    return StudyPlan(
        path.parent.name,
        path,
        checked["question"],
        checked["expected"],
        checked["baseline"],
        tuple(checked["seeds"]),
        sections["overrides"],
        arms,
        tuple(task for task in tasks if task is not None),
    )


def _task(name: str, given: Any, problems: list[str]) -> TaskPlan | None:
    what = _mapping(given, f"tasks.{name}", problems)
    checked = check_options(TASK_OPTIONS, what, f"tasks.{name}", problems, also=("overrides",))
    overrides = _mapping(what.get("overrides", {}), f"tasks.{name}.overrides", problems)
    if any(option.default is REQUIRED and option.name not in checked for option in TASK_OPTIONS):
        return None
    margin = checked["margin"]
    if margin is not None and (margin <= 0 or not checked["comparable"]):
        problems.append(f"tasks.{name}.margin: must be above 0, and the task comparable: got {margin}")
    return TaskPlan(name, tuple(checked["metrics"]), checked["comparable"], checked["note"], overrides, margin)


def _mapping(given: Any, path: str, problems: list[str]) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    problems.append(f"{path}: must be a mapping: got {given!r}")
    return {}


# --------------------------------------------------------------------------------------------------------- cells


def expand(plan: StudyPlan, further: Sequence[str] = ()) -> list[Cell]:
    """All cells of a study, checked; ``further`` overrides come last and hold for all.

    Raises:
        Refused: with every problem of every arm; or if two arms are the same computation.
    """
    problems: list[str] = []
    cells = []
    for task in plan.tasks:
        for arm, overrides in plan.arms.items():
            merged = {**plan.overrides, **task.overrides, **overrides}
            lines = (*(_line(key, value) for key, value in merged.items()), *further)
            try:
                checked = check_run(compose_run(lines))
                checked.require()
            except Refused as error:
                problems += [f"{task.name} {arm}: {line}" for line in str(error).splitlines()]
                continue
            cells += [_cell(arm, task.name, seed, lines, checked) for seed in plan.seeds]
    problems += _twins(cells)
    if problems:
        raise Refused("\n".join(problems))
    return cells


def _cell(arm: str, task: str, seed: int, lines: tuple[str, ...], checked: Checked) -> Cell:
    seeded = replace(checked, config={**checked.config, "seed": seed})
    return Cell(arm, task, seed, (*lines, f"seed={seed}"), seeded)


def _twins(cells: Sequence[Cell]) -> list[str]:
    first: dict[str, Cell] = {}
    problems = []
    for cell in cells:
        other = first.setdefault(cell.checked.hash, cell)
        if other is not cell:
            problems.append(f"{cell.name} is the same run as {other.name}: arms must differ")
    return problems


def _line(key: str, value: Any) -> str:
    """An override as Hydra's grammar writes it."""
    return f"{key}={_grammar(value)}"


def _grammar(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_grammar(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_grammar(item) for item in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and not value.replace("_", "").replace("/", "").isalnum():
        return json.dumps(value, ensure_ascii=False)
    return str(value)
