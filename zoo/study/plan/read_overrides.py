"""Mappings of overrides in a study, read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any


def read_mapping(given: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """Reads a mapping with texts as keys; None is an empty mapping."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    problems.append(f"{path}: must be a mapping: got {given!r}")
    return {}


def read_overrides(given: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """Reads a mapping of overrides; the seed and settings of Hydra are problems."""
    found = read_mapping(given, path, problems)
    for key in found:
        if key.lstrip("+~") == "seed":
            problems.append(f"{path}.seed: is set by the seeds of the study: got {found[key]!r}")
        if re.search(r"(^[+~\s]*|@\s*)hydra\s*($|[./@:])", key):
            problems.append(f"{path}.{key}: applies to the whole study: give it on the command line")
    return found


def read_named_overrides(given: Any, path: str, problems: list[str]) -> dict[str, dict[str, Any]]:
    """Reads one or more mappings of overrides, by name."""
    found = read_mapping(given, path, problems)
    if not found:
        problems.append(f"{path}: must not be empty")
    return {name: read_overrides(what, f"{path}.{name}", problems) for name, what in found.items()}


def check_distinct(names: Iterable[str], path: str, problems: list[str]) -> None:
    """Appends a problem for each name that occurs twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            problems.append(f"{path}: names must differ: got {name} twice")
        seen.add(name)
