"""Formatting of overrides in the grammar of Hydra; importing this module loads neither torch nor Hydra."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def format_override(key: str, value: Any) -> str:
    """Returns an override in Hydra's grammar.

    Args:
        key: Key; ``~key`` with the value None deletes a key.
        value: Value of JSON types.
    """
    return key if key.startswith("~") and value is None else f"{key}={_format_value(value)}"


def _format_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_format_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_format_value(item) for item in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and not _is_plain(value):
        from zoo.config.overrides import quote_text

        return quote_text(value)
    return str(value)


def _is_plain(text: str) -> bool:
    """True if Hydra reads the text as itself without quotes."""
    words = ("null", "true", "false", "inf", "nan")
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z0-9_]+)*", text) is not None and text.lower() not in words
