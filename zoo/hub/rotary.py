"""Rotary positions as published configs say them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from zoo.checks import Refused
from zoo.hub.keys import Key
from zoo.hub.source import BOOL, FLOAT, INT, STR, Composed, Draft, Source


@final
@dataclass(frozen=True)
class Rotary(Key):
    """Base, fraction and scaling of rotary positions, in the older form (``rope_theta``, ``rope_scaling``) or the new.

    Args:
        base: what no base means.
        fraction: what no ``partial_rotary_factor`` means; None where the family turns all features.
        path: dotted path of the position.
    """

    base: float = 10000.0
    fraction: float | None = None
    path: str = "position"

    def read(self, theirs: Source, ours: Draft) -> None:
        """Both forms; where both are given they must agree."""
        newer, older = theirs.take_any("rope_parameters"), theirs.take_any("rope_scaling")
        base = theirs.take("rope_theta", FLOAT, None)
        fraction = theirs.take("partial_rotary_factor", FLOAT, None)
        for name, given in (("rope_parameters", newer), ("rope_scaling", older)):
            if given is not None and not isinstance(given, Mapping):
                theirs.refuse(name, "must be a mapping", given)
                return
        read_rotary(theirs, ours, self, newer or older or {}, base, fraction)

    def write(self, ours: Composed, theirs: dict[str, Any]) -> None:
        """Both forms, for readers of all ages."""
        parameters = rotary_parameters(ours.get(self.path, {}), self.fraction is not None)
        theirs["rope_parameters"] = parameters
        theirs["rope_theta"] = parameters["rope_theta"]
        if self.fraction is not None:
            theirs["partial_rotary_factor"] = parameters["partial_rotary_factor"]
        if parameters["rope_type"] != "default":
            legacy = {key: value for key, value in parameters.items() if key not in _APART}
            theirs["rope_scaling"] = legacy


_APART = ("rope_theta", "partial_rotary_factor")
_SCALING = {
    "factor": ("factor", FLOAT),
    "original_max_position_embeddings": ("length", INT),
    "beta_fast": ("beta_fast", FLOAT),
    "beta_slow": ("beta_slow", FLOAT),
    "attention_factor": ("attention_factor", FLOAT),
    "truncate": ("truncate", BOOL),
    "low_freq_factor": ("low", FLOAT),
    "high_freq_factor": ("high", FLOAT),
}


def read_rotary(
    theirs: Source, ours: Draft, key: Rotary, given: Mapping[str, Any], base: float | None, fraction: float | None
) -> None:
    """Write what a mapping of rotary parameters means.

    Args:
        theirs: where problems are noted.
        ours: what is written.
        key: says where, and what absence means.
        given: ``rope_parameters`` or ``rope_scaling``.
        base: ``rope_theta`` beside it.
        fraction: ``partial_rotary_factor`` beside it.
    """
    inner = Source(given, f"{theirs.name}: rope_parameters")
    base = inner.take("rope_theta", FLOAT, base if base is not None else key.base)
    ours.set(f"{key.path}.base", base)
    fraction = inner.take("partial_rotary_factor", FLOAT, fraction if fraction is not None else key.fraction)
    if key.fraction is not None:
        ours.set(f"{key.path}.fraction", fraction)
    elif fraction not in (None, 1.0):
        inner.refuse("partial_rotary_factor", "must be 1, for this family turns all features", fraction)
    types = [inner.take(name, STR, None) for name in ("rope_type", "type")]
    kind = next((each for each in types if each is not None), "default")
    if kind not in ("default", "linear", "yarn", "llama3"):
        inner.refuse("rope_type", "must be one of default, linear, llama3, yarn", kind)
    elif kind == "default":
        for name in _SCALING:  # which say nothing here, and some published configs have them
            inner.take_any(name)
    else:
        ours.set(f"{key.path}.scaling", {"kind": kind, **_scaling(theirs, inner, kind)})
    theirs.problems += _left_over(inner)


def _scaling(theirs: Source, inner: Source, kind: str) -> dict[str, Any]:
    values = {our: inner.take(their, kind_of, None) for their, (our, kind_of) in _SCALING.items()}
    if kind in ("yarn", "llama3") and values["length"] is None:
        length = theirs.peek("max_position_embeddings")
        values["length"] = length if isinstance(length, int) else None
    elif kind == "linear":
        values["length"] = None  # which it does not look at
    two = [inner.take(name, FLOAT, None) for name in ("mscale", "mscale_all_dim")]
    if kind == "yarn" and all(two) and values["attention_factor"] is None and values["factor"]:
        above, below = (_mscale(values["factor"], mscale) for mscale in two)
        values["attention_factor"] = above / below
    return {name: value for name, value in values.items() if value is not None}


def _mscale(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


def _left_over(source: Source) -> list[str]:
    try:
        source.require_understood()
    except Refused as error:
        return str(error).splitlines()
    return []


def rotary_parameters(position: Mapping[str, Any], partial: bool) -> dict[str, Any]:
    """``rope_parameters`` of the values of a rotary position."""
    scaling = position.get("scaling") or {"kind": "none"}
    kind = "default" if scaling["kind"] == "none" else scaling["kind"]
    parameters = {"rope_type": kind, "rope_theta": position.get("base")}
    if partial:
        parameters["partial_rotary_factor"] = position.get("fraction")
    for their, (our, _) in _SCALING.items():
        if kind != "default" and scaling.get(our) is not None:
            parameters[their] = scaling[our]
    return parameters
