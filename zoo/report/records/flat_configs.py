"""Configs as flat mappings of dotted keys, and in what they differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

ABSENT = "—"


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of a nested mapping by dotted key; an empty mapping and a list are leaves."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def shown(value: object) -> str:
    """A value of a config as a person would type it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def texts(config: Mapping[str, Any]) -> dict[str, str]:
    """Leaves of a config by dotted key, as texts, without the seed."""
    return {key: shown(value) for key, value in flatten(config).items() if key != "seed"}


def differing(configs: Iterable[Mapping[str, str]]) -> list[str]:
    """Keys whose text is not the same in all, in order of first appearance; a key that one lacks differs."""
    listed = list(configs)
    keys = dict.fromkeys(key for config in listed for key in config)
    return [key for key in keys if len({config.get(key, ABSENT) for config in listed}) > 1]


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """The shortest tail of each dotted key that no other shares; a last part ``name`` says nothing and goes."""
    parts = {key: key.removesuffix(".name").split(".") for key in keys}
    short = {}
    for key, own in parts.items():
        tails = (own[-length:] for length in range(1, len(own) + 1))
        unique = (t for t in tails if sum(other[-len(t) :] == t for other in parts.values()) == 1)
        short[key] = ".".join(next(unique, key.split(".")))
    return short
