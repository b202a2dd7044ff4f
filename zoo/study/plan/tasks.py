"""What arms are trained on: tasks, each once a size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from zoo.config.groups import list_slots
from zoo.model.schema import has_option
from zoo.registry.options import REQUIRED, Many, Maybe, Option, Scalar, check_options
from zoo.study.plan.read_overrides import check_distinct, read_mapping, read_named_overrides, read_overrides

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

    Differences of it up to ``margin`` count as none; in points of a percent if it is a share. A study at several sizes
    has each task once a size: ``of`` is the name of the task alone, ``size`` that of the size.
    """

    name: str
    metrics: tuple[str, ...]
    comparable: bool
    note: str
    overrides: Overrides
    margin: float | None = None
    of: str = ""
    size: str = ""


def read_tasks(given: Mapping[str, Any], problems: list[str]) -> tuple[TaskPlan, ...]:
    """The tasks of a study, each once a size."""
    tasks = read_mapping(given.get("tasks"), "tasks", problems)
    if not tasks:
        problems.append("tasks: must be given, at least one")
    known = [task for name, what in tasks.items() if (task := _read_task(name, what, problems))]
    if "sizes" not in given:
        return tuple(known)
    sizes = read_named_overrides(given["sizes"], "sizes", problems)
    sized = tuple(_apply_size(task, size, what) for task in known for size, what in sizes.items())
    check_distinct((task.name for task in sized), "sizes", problems)
    return sized


def _read_task(name: str, given: Any, problems: list[str]) -> TaskPlan | None:
    path = f"tasks.{name}"
    what = read_mapping(given, path, problems)
    checked = check_options(TASK_OPTIONS, what, path, problems, also=("overrides",))
    own = read_overrides(what.get("overrides"), f"{path}.overrides", problems)
    if any(option.default is REQUIRED and option.name not in checked for option in TASK_OPTIONS):
        return None
    if not checked["metrics"]:
        problems.append(f"{path}.metrics: must name at least one: got []")
    margin = checked["margin"]
    if margin is not None and (margin <= 0 or not checked["comparable"]):
        problems.append(f"{path}.margin: must be above 0, and the task comparable: got {margin}")
    return TaskPlan(name, tuple(checked["metrics"]), checked["comparable"], checked["note"], own, margin, of=name)


def _apply_size(task: TaskPlan, size: str, own: Overrides) -> TaskPlan:
    return replace(task, name=f"{task.name} {size}", overrides=merge_overrides(task.overrides, own), size=size)


def merge_overrides(*layers: Overrides) -> dict[str, Any]:
    """Overrides written over each other; another component keeps what was said of options that it has too."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for group in (key for key in layer if "/" in key and merged.get(key) != layer[key]):
            merged = {key: value for key, value in merged.items() if _is_kept(key, value, group, layer[group])}
        for key, value in layer.items():
            merged.pop(key, None)  # what is said last stands last
            merged[key] = value
    return merged


def _is_kept(key: str, value: Any, group: str, name: Any) -> bool:
    """True unless the key is an option of the part in a slot, and the component that is chosen for it has none such."""
    slot = group.lstrip("+")
    option = key.lstrip("+~").removeprefix(slot.replace("/", ".") + ".")
    return option == key.lstrip("+~") or has_option(dict(list_slots()).get(slot, ""), str(name), option, value)
