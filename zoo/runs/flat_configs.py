"""Configs as flat mappings of dotted keys, and the keys in which configs differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

ABSENT = "—"


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the leaves of a nested mapping by dotted key; empty mappings and lists are leaves."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def format_value(value: object) -> str:
    """Formats a value of a config as it would be typed."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def flatten_to_text(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns the leaves of a config by dotted key, formatted as text, without the seed."""
    return {key: format_value(value) for key, value in flatten(config).items() if key != "seed"}


def find_differing_keys(configs: Iterable[Mapping[str, str]]) -> list[str]:
    """Returns the keys whose values are not the same in all configs, in order of first appearance.

    A key that some config lacks differs.
    """
    listed = list(configs)
    keys = dict.fromkeys(key for config in listed for key in config)
    return [key for key in keys if len({config.get(key, ABSENT) for config in listed}) > 1]


def shorten_keys(keys: Iterable[str]) -> dict[str, str]:
    """Returns the shortest unique tail of each dotted key; a last part ``name`` is dropped."""
    parts = {key: key.removesuffix(".name").split(".") for key in keys}
    short = {}
    for key, own in parts.items():
        tails = (own[-length:] for length in range(1, len(own) + 1))
        unique = (t for t in tails if sum(other[-len(t) :] == t for other in parts.values()) == 1)
        short[key] = ".".join(next(unique, key.split(".")))
    return short
