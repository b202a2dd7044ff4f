"""Mappings of overrides in a study, read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any


def read_mapping(given: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """A mapping with texts as keys; anything else is a problem, and null is an empty one."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    problems.append(f"{path}: must be a mapping: got {given!r}")
    return {}


def read_overrides(given: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """A mapping of overrides, without what is not for them to say."""
    found = read_mapping(given, path, problems)
    for key in found:
        if key.lstrip("+~") == "seed":
            problems.append(f"{path}.seed: is set by the seeds of the study: got {found[key]!r}")
        if re.search(r"(^[+~\s]*|@\s*)hydra\s*($|[./@:])", key):
            problems.append(f"{path}.{key}: is about the whole study: give it on the command line")
    return found


def read_named_overrides(given: Any, path: str, problems: list[str]) -> dict[str, dict[str, Any]]:
    """Overrides by name; at least one."""
    found = read_mapping(given, path, problems)
    if not found:
        problems.append(f"{path}: must not be empty")
    return {name: read_overrides(what, f"{path}.{name}", problems) for name, what in found.items()}


def check_distinct(names: Iterable[str], path: str, problems: list[str]) -> None:
    """A problem for every name that stands twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            problems.append(f"{path}: names must differ: got {name} twice")
        seen.add(name)
