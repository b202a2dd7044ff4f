"""Tasks of a study, each at every size."""

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
    """A task, at one size.

    Attributes:
        name: Name of the task, with that of the size if there are several.
        metrics: Names of the metrics; the first is the primary one.
        comparable: False if losses of different arms cannot be compared.
        note: Remark for readers of the report.
        overrides: Overrides of the task and the size.
        margin: Largest difference of the primary metric that counts as equal, in percentage points for proportions.
        of: Name of the task alone.
        size: Name of the size; empty if the study has none.
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
    """Reads ``tasks`` and ``sizes`` of a study; returns each task at every size."""
    tasks = read_mapping(given.get("tasks"), "tasks", problems)
    if not tasks:
        problems.append("tasks: must have at least one task")
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
        problems.append(f"{path}.metrics: must have at least one metric: got []")
    margin = checked["margin"]
    if margin is not None and margin <= 0:
        problems.append(f"{path}.margin: must be above 0: got {margin}")
    if margin is not None and not checked["comparable"]:
        problems.append(f"{path}.margin: requires comparable: true: got margin={margin}")
    return TaskPlan(name, tuple(checked["metrics"]), checked["comparable"], checked["note"], own, margin, of=name)


def _apply_size(task: TaskPlan, size: str, own: Overrides) -> TaskPlan:
    return replace(task, name=f"{task.name} {size}", overrides=merge_overrides(task.overrides, own), size=size)


def merge_overrides(*layers: Overrides) -> dict[str, Any]:
    """Merges overrides, of which later ones win; a newly chosen component keeps earlier options that it has too."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for group in (key for key in layer if "/" in key and merged.get(key) != layer[key]):
            merged = {key: value for key, value in merged.items() if _is_kept(key, value, group, layer[group])}
        for key, value in layer.items():
            merged.pop(key, None)  # moves the key to the end
            merged[key] = value
    return merged


def _is_kept(key: str, value: Any, group: str, name: Any) -> bool:
    """False if the key is an option of a slot that the newly chosen component lacks."""
    slot = group.lstrip("+")
    option = key.lstrip("+~").removeprefix(slot.replace("/", ".") + ".")
    return option == key.lstrip("+~") or has_option(dict(list_slots()).get(slot, ""), str(name), option, value)
