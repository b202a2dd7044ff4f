"""The registry: components by name, read from syntax trees, with their options.

Importing it loads neither torch nor Hydra.
"""

from zoo.registry.entries import (
    ENTRY_POINTS,
    KINDS,
    Entry,
    Index,
    forget,
    get_index,
    get_live_options,
    list_kind,
    read_module,
    register,
)

__all__ = [
    "ENTRY_POINTS",
    "KINDS",
    "Entry",
    "Index",
    "forget",
    "get_index",
    "get_live_options",
    "list_kind",
    "read_module",
    "register",
]
