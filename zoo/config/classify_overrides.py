"""Classification of parsed overrides: values, components, and those that Hydra cannot apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType, ValueType

from zoo.checks import suggest
from zoo.config.groups import list_choices, list_config_groups, list_slots
from zoo.config.overrides import list_sweep_values, parse_word
from zoo.config.run_options import RUN_OPTIONS, SECTIONS
from zoo.registry import get_index
from zoo.system.installation import find_package_folder


def is_value(override: Override) -> bool:
    """True if the override chooses no config group, so that it can be applied after composition."""
    key = override.key_or_group
    chooses = override.package is not None or (key in list_config_groups() and not isinstance(override.value(), dict))
    return not (chooses or override.is_sweep_override() or "/" in key or key.split(".")[0] == "hydra")


def is_component(override: Override) -> bool:
    """True if the override chooses a component from the config store that no file of ``conf`` replaces."""
    group, name = override.key_or_group, override.value()
    kind = dict(list_slots()).get(group)
    changed = override.package is not None or override.type is not OverrideType.CHANGE or override.is_sweep_override()
    known = kind is not None and isinstance(name, str) and name in get_index().get_names(kind)
    return known and not changed and not (find_package_folder("conf") / group / f"{name}.yaml").exists()


def split_component_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits overrides into those that choose a component for a slot, and all others."""
    components = [line for line in overrides if is_component(parse_word(line))]
    return components, [line for line in overrides if line not in components]


def find_problem(override: Override) -> str | None:
    """Finds the reason why Hydra cannot apply an override, with the closest known name; None if it can."""
    key = override.key_or_group.split("@")[0]
    if key.startswith("hydra/") and not override.is_delete() and not isinstance(override.value(), str):
        return f"{key}: must be a name: got {override.input_line}"
    if key == "hydra" or key.startswith(("hydra/", "hydra.")):
        return None
    groups = list_config_groups()
    if "/" in key or (key in groups and not isinstance(override.value(), dict)):
        if key not in groups:
            return f"{key}: unknown config group: {suggest(key, groups)}"
        choices = list_choices(key)
        if not override.is_delete() and not override.is_sweep_override() and override.value() is None:
            return f"{key}: must be chosen: {suggest('null', choices)}"
        for value in _list_values(override):
            if not isinstance(value, str | int | float) or str(value) not in choices:
                return f"{key}: unknown choice {str(value)!r}: {suggest(str(value), choices)}"
        return None
    known = [*SECTIONS, *(option.name for option in RUN_OPTIONS)]
    if key.split(".")[0] not in known and not override.is_add():
        return f"{key}: unknown key: {suggest(key.split('.')[0], known)}"
    return None


def _list_values(override: Override) -> list[Any]:
    """Lists the chosen values: one, those of a list, or those of a sweep; empty for patterns and deletions."""
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        return []
    if override.is_sweep_override():
        return list_sweep_values(override)
    value = override.value()
    return value if isinstance(value, list) else [] if value is None else [value]
