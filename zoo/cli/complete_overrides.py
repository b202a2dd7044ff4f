"""Completion of overrides: groups and their choices, options and their values; imports neither torch nor Hydra."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo.config.groups import list_choices, list_config_groups, list_slots
from zoo.config.run_options import SECTIONS
from zoo.model.schema import SLOTS, STACK_OPTIONS, STACKS, list_model_options, merge
from zoo.registry import list_kind
from zoo.registry.options import Choice, Maybe, Option, Record, Scalar, Type
from zoo.system.installation import find_package_folder


def complete_override(current: str, before: Sequence[str]) -> list[str]:
    """Returns the overrides that a word may become.

    Args:
        current: the word, which may be empty.
        before: the other words of the line, whose choices decide which options there are.
    """
    sign = current[: len(current) - len(current.lstrip("+~"))]
    word = current[len(sign) :]
    key, equals, value = word.partition("=")
    if not equals:
        return [f"{sign}{key}" for key in _keys(word, before) if key.startswith(word)]
    listed, comma, last = value.rpartition(",")
    return [f"{sign}{key}={listed}{comma}{each}" for each in _values(key, before) if each.startswith(last)]


def _keys(word: str, before: Sequence[str]) -> Iterator[str]:
    """Yields groups with ``=``, and keys up to the next dot or with ``=``."""
    section, dot, _ = word.rpartition(".")
    if dot:
        branches = {*(group.replace("/", ".") for group in list_config_groups())}
        for name, kind in _options(section, before).items():
            is_branch = f"{section}.{name}" in branches or isinstance(_inner(kind), Record)
            yield f"{section}.{name}{'.' if is_branch else '='}"
        return
    yield from (f"{group}=" for group in list_config_groups())
    yield from (f"{section}." for section in SECTIONS)
    yield from (f"{name}=" for name in _config("train") if name not in ("defaults", "hydra"))
    yield "hydra/launcher="


def _values(key: str, before: Sequence[str]) -> list[str]:
    if key in list_config_groups():
        return list_choices(key)
    if key == "hydra/launcher":
        return ["basic", "joblib"]
    section, _, name = key.rpartition(".")
    kind = _options(section, before).get(name)
    inner = _inner(kind)
    values = inner.values if isinstance(inner, Choice) else ("true", "false") if inner == Scalar(bool) else ()
    return [*values, *(["null"] if isinstance(kind, Maybe) else [])]


def _inner(kind: Type | None) -> Type | None:
    return kind.inner if isinstance(kind, Maybe) else kind


def _options(section: str, before: Sequence[str]) -> dict[str, Type | None]:
    """Returns the names below a dotted key, with their types where these are known."""
    group = section.replace(".", "/")
    kind = dict(list_slots()).get(group, section if section in ("data", "objective") else None)
    if kind is not None:
        entry = list_kind(kind).get(_component(section, before))
        own = {} if entry is None else _by_name(entry.options)
        return {**own, "length": Scalar(int), "tokenizer": None} if section == "data" else own
    if section == "model":
        return {
            **_by_name(list_model_options()),
            **dict.fromkeys((*SLOTS, *STACKS, "cross", "initialization", "exceptions")),
        }
    if section in (f"model.{stack}" for stack in STACKS):
        return {**_by_name(STACK_OPTIONS), **dict.fromkeys(SLOTS)}
    if section in SECTIONS:
        return dict.fromkeys(_section(section, before))
    parent, dot, name = section.rpartition(".")
    inner = _inner(_options(parent, before).get(name)) if dot else None
    return _by_name(inner.options) if isinstance(inner, Record) else {}


def _by_name(options: Sequence[Option]) -> dict[str, Type | None]:
    return {option.name: option.type for option in options}


def _component(section: str, before: Sequence[str]) -> str:
    """Returns the component in a slot: the last one that the line chooses, else that of the preset."""
    group = section.replace(".", "/")
    if chosen := [word.partition("=")[2] for word in before if word.lstrip("+").startswith(f"{group}=")]:
        return chosen[-1].split(",")[-1]
    first, *path = section.split(".")
    chosen_part: Any = _section(first, before)
    for name in path:
        chosen_part = chosen_part.get(name) if isinstance(chosen_part, Mapping) else None
    if isinstance(chosen_part, Mapping) and "name" in chosen_part:
        return str(chosen_part["name"])
    shared = [name for name in path if name not in STACKS]
    if shared != path:  # the slot of a stack, which is that of the model where it says nothing
        return _component(".".join([first, *shared]), before)
    return _component("model.attention", before) if path == ["cross"] else ""


def _section(section: str, before: Sequence[str]) -> Mapping[str, Any]:
    """Returns the config of a section as its preset has it; for a component without a preset its name."""
    chosen = [word.partition("=")[2] for word in before if word.startswith(f"{section}=")]
    defaults = {
        key: value for item in _config("train")["defaults"] if isinstance(item, dict) for key, value in item.items()
    }
    choice = chosen[-1].split(",")[-1] if chosen else str(defaults.get(section))
    return _config(f"{section}/{choice}") or {"name": choice}


@functools.cache
def _config(name: str) -> Mapping[str, Any]:
    """Returns a file of ``conf``, with the preset that it begins with; nothing if there is none."""
    import yaml

    path = find_package_folder("conf") / f"{name}.yaml"
    if not path.is_file():
        return {}
    config: dict[str, Any] = (
        yaml.load(path.read_text(encoding="utf8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
    )
    for base in config.get("defaults", ()):
        if isinstance(base, str) and base.startswith("/") and base.endswith("@_here_"):
            config = merge(_config(base[1:].removesuffix("@_here_")), config)
    return config
