"""The registry: components by name, read from syntax trees, with their options.

Importing it loads neither torch nor Hydra.
"""

from zoo.registry.entries import (
    ENTRY_POINTS,
    KINDS,
    Entry,
    Index,
    forget,
    index,
    list_kind,
    live_options,
    read_module,
    register,
)

__all__ = [
    "ENTRY_POINTS",
    "KINDS",
    "Entry",
    "Index",
    "forget",
    "index",
    "list_kind",
    "live_options",
    "read_module",
    "register",
]
