"""Index of the published families, one for each converter."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any

from zoo.checks import Refused, suggest
from zoo.hub.family import Family


@functools.cache
def get_families() -> dict[str, Family]:
    """Returns all families by their ``model_type``, in alphabetical order."""
    from zoo.hub import converters as folder

    found = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(folder.__path__)):
        family = getattr(importlib.import_module(f"{folder.__name__}.{module}"), "FAMILY", None)
        if isinstance(family, Family):
            found[family.name] = family
    return found


def find_family(name: Any) -> Family:
    """Returns the family of a ``model_type``.

    Raises:
        Refused: if there is none; the message suggests a similar name.
    """
    if not isinstance(name, str) or name not in get_families():
        raise Refused(f"unknown model_type {name!r}: {suggest(str(name), get_families())}")
    return get_families()[name]
