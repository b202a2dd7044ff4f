"""Keys for rotary position embeddings in published configs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import BOOL, FLOAT, INT, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.keys import Key
from zoo.hub.window_keys import FULL, SLIDING, list_layer_types


@final
@dataclass(frozen=True)
class Rotary(Key):
    """Base, fraction and scaling of rotary positions, in the old format (``rope_theta``, ``rope_scaling``) or the new.

    Args:
        base: default of the base.
        fraction: default of ``partial_rotary_factor``; None if the family rotates all features.
        path: dotted path of the position.
        absent: scaling if neither format is present; None for no scaling.
    """

    base: float = 10000.0
    fraction: float | None = None
    path: str = "position"
    absent: Mapping[str, Any] | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Reads both formats, which must agree if both are present."""
        newer, older = theirs.take_any("rope_parameters"), theirs.take_any("rope_scaling")
        base = theirs.take("rope_theta", FLOAT, None)
        fraction = theirs.take("partial_rotary_factor", FLOAT, None)
        for name, given in (("rope_parameters", newer), ("rope_scaling", older)):
            if given is not None and not isinstance(given, Mapping):
                theirs.refuse(name, "must be a mapping", given)
                return
        if newer and older and (differ := [key for key in older if not _is_consistent(key, newer, older)]):
            rule = f"must agree with rope_parameters in {', '.join(differ)}, or be absent"
            theirs.refuse("rope_scaling", rule, dict(older))
            return
        read_rotary(theirs, ours, self, newer or older or self.absent or {}, base, fraction)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes both formats, for old and new readers."""
        parameters = build_rope_parameters(ours.get(self.path, {}), self.fraction is not None)
        theirs["rope_parameters"] = parameters
        theirs["rope_theta"] = parameters["rope_theta"]
        if self.fraction is not None:
            theirs["partial_rotary_factor"] = parameters["partial_rotary_factor"]
        if parameters["rope_type"] != "default":
            legacy = {key: value for key, value in parameters.items() if key not in _OWN_OPTIONS}
            theirs["rope_scaling"] = legacy


@final
@dataclass(frozen=True)
class RotaryByType(Key):
    """Rotary positions that differ between layers with a window and those without; must be read after ``Window``.

    Args:
        bases: name of the older option of the base, and its default, for each type of layer.
        scaled: types of layer to which an older ``rope_scaling`` applies.
    """

    bases: Mapping[str, tuple[str, float]]
    scaled: tuple[str, ...] = (FULL,)

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Reads each type into the rule or the exception that ``Window`` made; types without layers are ignored."""
        newer, older = theirs.take_any("rope_parameters") or {}, theirs.take_any("rope_scaling") or {}
        for name, given in (("rope_parameters", newer), ("rope_scaling", older)):
            if not isinstance(given, Mapping):
                theirs.refuse(name, "must be a mapping", given)
                return
        if wrong := [key for key, value in newer.items() if key not in self.bases or not _is_mapping_or_none(value)]:
            theirs.refuse("rope_parameters", f"must be mappings for {', '.join(self.bases)}", wrong)
            return
        both = ours.get("exceptions.full") is not None
        rule = SLIDING if ours.get("attention.scores.window") is not None else FULL
        for kind, (name, default) in self.bases.items():
            base = theirs.take(name, FLOAT, default)
            given = {**(newer.get(kind) or {}), **(older if kind in self.scaled else {})}
            path = "position" if kind == rule else "exceptions.full.position"
            goal = ours if kind == rule or both else ConfigDraft({})
            read_rotary(theirs, goal, Rotary(path=path), given, base, None)
        if both and ours.get("position.scaling") and not ours.get("exceptions.full.position.scaling"):
            ours.set("exceptions.full.position.scaling", dict.fromkeys(ours.get("position.scaling")) | {"kind": "none"})

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes both formats, as far as the older one can express the values."""
        parameters: dict[str, dict[str, Any]] = {}
        for kind, layer in zip(list_layer_types(ours), ours.list_layers(), strict=True):
            parameters.setdefault(kind, build_rope_parameters(layer["position"], partial=False))
        for kind, (name, default) in self.bases.items():
            theirs[name] = parameters.setdefault(kind, {"rope_type": "default", "rope_theta": default})["rope_theta"]
        theirs["rope_parameters"] = parameters


def _is_mapping_or_none(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _is_consistent(key: str, newer: Mapping[str, Any], older: Mapping[str, Any]) -> bool:
    """True if both formats agree in an option of the older one."""
    name = "rope_type" if key == "type" else key
    return bool(newer.get(name, newer.get(key)) == older[key])


_OWN_OPTIONS = ("rope_theta", "partial_rotary_factor")
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
    theirs: PublishedConfig,
    ours: ConfigDraft,
    key: Rotary,
    given: Mapping[str, Any],
    base: float | None,
    fraction: float | None,
) -> None:
    """Reads a mapping of rotary parameters into a model config.

    Args:
        theirs: the published config, in which problems are recorded.
        ours: the model config to write to.
        key: path of the position, and defaults.
        given: ``rope_parameters`` or ``rope_scaling``.
        base: ``rope_theta`` outside the mapping.
        fraction: ``partial_rotary_factor`` outside the mapping.
    """
    inner = PublishedConfig(given, f"{theirs.name}: rope_parameters")
    base = inner.take("rope_theta", FLOAT, base if base is not None else key.base)
    ours.set(f"{key.path}.base", base)
    fraction = inner.take("partial_rotary_factor", FLOAT, fraction if fraction is not None else key.fraction)
    if key.fraction is not None:
        ours.set(f"{key.path}.fraction", fraction)
    elif fraction not in (None, 1.0):
        inner.refuse("partial_rotary_factor", "must be 1, since this family rotates all features", fraction)
    types = [inner.take(name, STR, None) for name in ("rope_type", "type")]
    kind = next((each for each in types if each is not None), "default")
    kind = "default" if kind == "mrope" else kind  # for text, the positions on all axes are equal
    for name in ("mrope_section", "mrope_interleaved"):
        inner.take_any(name)
    if kind not in ("default", "linear", "yarn", "llama3"):
        inner.refuse("rope_type", "must be one of default, linear, llama3, yarn", kind)
        theirs.problems += inner.problems  # without reporting the options of an unknown kind as ignored
        return
    # A factor of 1 means no scaling, whatever the kind.
    is_identity = inner.get("factor") == 1 and inner.get("attention_factor") in (None, 1)
    if kind == "default" or is_identity:
        # Some published configs have these options without effect.
        for name in (*_SCALING, "mscale", "mscale_all_dim"):
            inner.take_any(name)
    else:
        ours.set(f"{key.path}.scaling", {"kind": kind, **_read_scaling(theirs, inner, kind)})
    theirs.merge(inner, "rope_parameters")


def _read_scaling(theirs: PublishedConfig, inner: PublishedConfig, kind: str) -> dict[str, Any]:
    values = {our: inner.take(their, kind_of, None) for their, (our, kind_of) in _SCALING.items()}
    if kind in ("yarn", "llama3") and values["length"] is None:
        length = theirs.get("max_position_embeddings")
        values["length"] = length if isinstance(length, int) else None
    elif kind == "linear":
        values["length"] = None  # unused by linear scaling
    coefficients = [inner.take(name, FLOAT, None) for name in ("mscale", "mscale_all_dim")]
    if kind == "yarn" and all(coefficients) and values["attention_factor"] is None and values["factor"]:
        numerator, denominator = (compute_mscale(values["factor"], mscale) for mscale in coefficients)
        values["attention_factor"] = numerator / denominator
    return {name: value for name, value in values.items() if value is not None}


def compute_mscale(factor: float, mscale: float) -> float:
    """Computes the attention factor of YaRN (Peng et al. 2024, arXiv:2309.00071, section 3.4).

    Args:
        factor: ratio of the new context length to the original one.
        mscale: published coefficient, 1 in the paper.
    """
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


def build_rope_parameters(position: Mapping[str, Any], partial: bool) -> dict[str, Any]:
    """Builds ``rope_parameters`` from the options of a rotary position."""
    scaling = position.get("scaling") or {"kind": "none"}
    kind = "default" if scaling["kind"] == "none" else scaling["kind"]
    parameters = {"rope_type": kind, "rope_theta": position.get("base")}
    if partial:
        parameters["partial_rotary_factor"] = position.get("fraction")
    for their, (our, _) in _SCALING.items():
        if kind != "default" and scaling.get(our) is not None:
            parameters[their] = scaling[our]
    return parameters
