"""Side changes of an arm: options that differ, besides the part that it swaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.config.checking import CheckedConfig
from zoo.config.groups import list_slots
from zoo.model.schema import STACKS, check_part, overlay_part
from zoo.registry import get_index
from zoo.runs.config_sections import Options
from zoo.runs.flat_configs import flatten, format_value
from zoo.study.plan.tasks import Overrides

_SLOT_KINDS = {group.replace("/", "."): kind for group, kind in list_slots()}


def find_side_changes(arm: CheckedConfig, other: CheckedConfig, own: Overrides) -> tuple[str, ...]:
    """Finds options that differ between an arm and its reference, in parts that the arm replaces.

    These are options that both parts have and whose values differ although the arm does not set them, for instance
    because their defaults differ; and options that were set for the old part and that the new one lacks. Required
    options of the old part are left out, and so are all options of a part that is replaced by ``none``.

    Args:
        arm: Checked config of the arm.
        other: Checked config of its reference.
        own: Overrides of the arm itself.
    """
    own_keys = tuple(key.lstrip("+~").replace("/", ".") for key in own)
    if "model" in own_keys:  # another preset: its parts differ by design
        return ()
    found = []
    given, reference = arm.config.as_mapping(), other.config.as_mapping()
    for slot, kind in _SLOT_KINDS.items():
        if not _select(given, slot):
            continue
        old, new = (_get_part(values, slot, kind) for values in (reference, given))
        names = [part.get("name") for part in (old, new)]
        if None not in names and names[0] != names[1] and names[1] != "none":
            found += [
                f"{slot.partition('.')[2]}.{line}"
                for leaf, line in _find_part_changes(kind, old, new)
                if not any(f"{slot}.{leaf}.".startswith(f"{key}.") for key in own_keys if key != slot)
            ]
    return tuple(found)


def _find_part_changes(kind: str, old: Options, new: Options) -> Iterator[tuple[str, str]]:
    required = {
        option.name for option in get_index().get(kind, old["name"]).options if "default" not in option.as_json()
    }
    defaults = flatten(check_part(kind, {"name": old["name"]}, "", []))
    before, after = flatten(old), flatten(new)
    for leaf, value in before.items():
        if leaf == "name" or leaf.split(".")[0] in required:
            continue
        if leaf in after and after[leaf] != value:
            yield leaf, f"{leaf} {format_value(value)} → {format_value(after[leaf])}"
        elif leaf not in after and defaults.get(leaf) != value:
            yield leaf, f"{leaf}={format_value(value)} dropped"


def _get_part(values: Options, slot: str, kind: str) -> Options:
    """Gets the component in a slot; that of one stack overlays that of both."""
    part = _select(values, slot)
    if slot.split(".")[1] in STACKS:
        part = check_part(kind, overlay_part(kind, _select(values, f"model.{kind}"), part), "", [])
    return part


def _select(values: Options, slot: str) -> Options:
    found: Any = values
    for key in slot.split("."):
        found = found.get(key) or {}
    chosen: Options = found
    return chosen
