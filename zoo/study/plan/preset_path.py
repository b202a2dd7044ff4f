"""Paths from one preset to another, one part of the model at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from zoo.checks import Refused, suggest
from zoo.config.compose import compose_run
from zoo.config.format_override import format_override
from zoo.config.groups import list_choices
from zoo.model.schema import SLOTS, STACKS, carry_options, check_model, check_part
from zoo.registry.options import Many, Maybe, Option, Scalar, check_options
from zoo.runs.flat_configs import flatten, format_value
from zoo.study.plan.designs import Arms
from zoo.study.plan.read_overrides import read_mapping
from zoo.study.plan.tasks import Overrides, merge_overrides

PATH_OPTIONS = (
    Option("from", Scalar(str)),
    Option("to", Scalar(str)),
    Option("order", Maybe(Many(Scalar(str))), None),
)
_OVERLAYS = (*STACKS, "exceptions")


def read_path(given: Any, common: Overrides, fixed: Collection[str], problems: list[str]) -> Arms:
    """Reads ``path``: makes an arm of the first preset, and one of each step, compared with the step before.

    Args:
        given: Presets ``from`` and ``to``, and optionally the ``order`` of steps, which are the parts of the model that
            differ; by default in the order of a config.
        common: Overrides of the whole study. Parts that they make equal are no steps.
        fixed: Keys that tasks or sizes set, which are no steps either.
        problems: List to which a line is appended for each problem.
    """
    before = len(problems)
    checked = check_options(PATH_OPTIONS, read_mapping(given, "path", problems), "path", problems)
    for end in ("from", "to"):
        if (preset := checked.get(end)) is not None and preset not in list_choices("model"):
            problems.append(f"path.{end}: unknown model {preset!r}: {suggest(str(preset), list_choices('model'))}")
    if len(problems) > before:
        return Arms({})
    try:
        written, last = (_compose_model(checked[end], common) for end in ("from", "to"))
        first, last = (check_model(model, []) for model in (written, last))
    except Refused as error:
        problems += str(error).splitlines()
        return Arms({})
    steps = {
        part: step
        for part in dict.fromkeys([*first, *last])
        if (step := _build_step(part, written, first, last, fixed))
    }
    if not steps:
        problems.append(f"path: must lead to a different model: {checked['from']} and {checked['to']} are the same")
    order = checked["order"] if checked["order"] is not None else list(steps)
    problems += _find_order_problems(order, steps, first)
    if len(problems) > before:
        return Arms({})
    found: dict[str, Overrides] = {checked["from"]: {"model": checked["from"]}}
    against: dict[str, str] = {}
    for part in order:
        name, previous = f"+ {_name_step(part, first.get(part), last.get(part))}", list(found)[-1]
        found[name] = merge_overrides(found[previous], steps[part])
        against[name] = previous
    return Arms(found, checked["from"], against)


def _compose_model(preset: str, common: Overrides) -> dict[str, Any]:
    """Composes the model section of a preset; invalid overrides are reported later, with the arms."""
    lines = [format_override(key, value) for key, value in merge_overrides(common, {"model": preset}).items()]
    model: dict[str, Any] = compose_run(lines)["model"]
    return model


def _build_step(
    part: str, written: Mapping[str, Any], first: Mapping[str, Any], last: Mapping[str, Any], fixed: Collection[str]
) -> Overrides:
    """Returns overrides that replace a part of the first model by that of the last; empty if they are equal."""
    one, two = first.get(part), last.get(part)
    if (one or None) == (two or None) or {f"model.{part}", f"model/{part}"} & set(fixed):
        return {}
    if part in _OVERLAYS:  # emptied first, so that nothing of the first model remains
        return {f"model.{part}": None, **({f"+model.{part}": two} if two else {})}
    if not isinstance(two, Mapping):
        return {f"model.{part}": two}
    if part not in (*SLOTS, "cross"):
        return {f"model.{part}.{leaf}": value for leaf, value in _find_differing_leaves(one, two).items()}
    kind = "attention" if part == "cross" else part
    alone = check_part(kind, {"name": two["name"], **carry_options(kind, written.get(part) or {}, two["name"])}, "", [])
    return {
        f"model/{part}": two["name"],
        **{f"model.{part}.{leaf}": value for leaf, value in _find_differing_leaves(alone, two).items()},
    }


def _find_differing_leaves(one: Any, two: Mapping[str, Any]) -> dict[str, Any]:
    known = flatten(one) if isinstance(one, Mapping) else {}
    return {leaf: value for leaf, value in flatten(two).items() if leaf not in known or known[leaf] != value}


def _name_step(part: str, one: Any, two: Any) -> str:
    """Returns a short name of a step."""
    if not isinstance(two, Mapping):
        return f"{part}={format_value(two)}"
    leaves = _find_differing_leaves(one, two)
    if "name" in leaves:
        return f"{part}={two['name']}"
    (leaf, *further) = leaves or [""]
    return part if further or not leaf or part in _OVERLAYS else f"{part}.{leaf}={format_value(leaves[leaf])}"


def _find_order_problems(order: Sequence[str], steps: Mapping[str, Overrides], first: Mapping[str, Any]) -> list[str]:
    problems = []
    for number, part in enumerate(order):
        where = f"path.order[{number}]"
        if part in order[:number]:
            problems.append(f"{where}: is given twice: got {part}")
        elif part not in steps and part in first:
            problems.append(f"{where}: {part} changes nothing: {suggest(part, steps)}")
        elif part not in steps:
            problems.append(f"{where}: unknown part {part!r}: {suggest(part, steps)}")
    if missing := [part for part in steps if part not in order]:
        problems.append(f"path.order: must name every part that differs: {', '.join(missing)} missing")
    return problems
