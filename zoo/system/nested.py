"""Access to nested mappings by dotted paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def get_nested(node: Any, path: str, default: Any = None) -> Any:
    """Returns the value at a dotted path of nested mappings, or ``default`` if the path does not exist."""
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return default
        node = node[key]
    return node
