"""Compares two plans option by option; options that matter only in training are optional."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.hub.config_views import get_layer_values, get_part_values
from zoo.model.plan import ModelPlan, Part, StackPlan
from zoo.model.schema import SLOTS

_TRAINING = frozenset({"initialization", "dropout", "aux_loss", "z_loss"})
_ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """A difference between two plans.

    Args:
        path: dotted path of the config, with the stack as prefix if there are several, and with the layers concerned.
        one: value in the first plan; ``absent`` if it has none.
        other: value in the second plan.
    """

    path: str
    one: Any
    other: Any

    def __str__(self) -> str:
        return f"{self.path}: {format_value(self.one)}, not {format_value(self.other)}"


def format_value(value: Any) -> str:
    """Formats a value as in YAML."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def compare_plans(one: ModelPlan, other: ModelPlan, *, training: bool = False) -> list[Difference]:
    """Compares two plans; without differences, they compute the same function of the same weights.

    Args:
        one: the first plan.
        other: the second plan.
        training: whether to compare dropout, initialization and auxiliary losses too.
    """
    found = list(_compare_mappings(_get_model_values(one, training), _get_model_values(other, training), ""))
    several = len(one.stacks) + len(other.stacks) > 2
    for a, b in _match_stacks(one.stacks, other.stacks):
        found += _compare_stacks(a, b, f"{a.name}." if several else "", training)
    return found


def _match_stacks(one: Sequence[StackPlan], other: Sequence[StackPlan]) -> list[tuple[StackPlan, StackPlan]]:
    """Returns the pairs of stacks to compare: by name, or the only ones whatever their names."""
    if len(one) == len(other) == 1:
        return [(one[0], other[0])]
    named = {stack.name: stack for stack in other}
    return [(stack, named[stack.name]) for stack in one if stack.name in named]


def _get_model_values(plan: ModelPlan, training: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "variant": plan.variant,
        "dim": plan.dim,
        "vocabulary": plan.vocabulary,
        "pooler": plan.pooler,
        "embedding": dict(plan.embedding),
        "head": None if plan.head is None else dict(plan.head),
    }
    if plan.head is not None and not plan.head["transform"]:
        del values["head"]["activation"]  # unused without a transform
    begin = {"name": plan.initialization.name, **plan.initialization.options}
    return {**values, "initialization": begin} if training else values


def _compare_stacks(one: StackPlan, other: StackPlan, prefix: str, training: bool) -> Iterator[Difference]:
    sizes = [
        {
            "layers": len(stack.layers),
            "shared": len(stack.layers) > stack.distinct and stack.distinct,
            "input_norm": stack.input_norm,
            "cross": None if stack.cross is None else _normalize_part(stack.cross, stack.base, training),
        }
        for stack in (one, other)
    ]
    yield from _compare_mappings(sizes[0], sizes[1], prefix)
    seen: dict[str, tuple[Difference, list[int]]] = {}
    for number, (a, b) in enumerate(zip(one.layers, other.layers, strict=False)):
        for difference in _compare_mappings(_normalize_layer(a, training), _normalize_layer(b, training), prefix):
            seen.setdefault(repr(difference), (difference, []))[1].append(number)
    both = min(len(one.layers), len(other.layers))
    for difference, numbers in seen.values():
        where = "" if len(numbers) == both else f" (layer {format_ranges(numbers)})"
        yield Difference(difference.path + where, difference.one, difference.other)


def _normalize_layer(layer: Any, training: bool) -> dict[str, Any]:
    values = get_layer_values(layer)
    del values["dim"]  # compared once for the model
    for slot in SLOTS:
        values[slot] = _normalize_part(getattr(layer, slot), layer, training)
    return values if training else _remove_training_options(values)


def _normalize_part(part: Part, layer: Any, training: bool) -> dict[str, Any]:
    """Normalizes a part, so that equivalent configs become equal."""
    values: dict[str, Any] = get_part_values(part)
    if part.name == "multi_head":
        values = {**values, "name": "grouped_query", "kv_heads": layer.heads}
    scores = values.get("scores")
    if scores is not None and scores.get("scale") is not None:
        rotary_dim = values["rope_dim"] if part.name == "latent" else 0
        if _is_equal(scores["scale"], (layer.head_dim + rotary_dim) ** -0.5):
            values["scores"] = {**scores, "scale": None}
    if part.name == "latent" and values["value_dim"] is None:
        values["value_dim"] = layer.head_dim
    router = values.get("router")
    if router is not None and not training:
        values["router"] = {**router, "correction": router["correction"] is not None}
    return values if training else _remove_training_options(values)


def _remove_training_options(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _remove_training_options(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if key not in _TRAINING
    }


def _compare_mappings(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str) -> Iterator[Difference]:
    """Yields the differences of two mappings; options of parts with different names are not compared."""
    if one.get("name") != other.get("name"):
        yield Difference(prefix.removesuffix("."), one.get("name", _ABSENT), other.get("name", _ABSENT))
        return
    for key in dict.fromkeys([*one, *other]):
        a, b = one.get(key, _ABSENT), other.get(key, _ABSENT)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _compare_mappings(a, b, f"{prefix}{key}.")
        elif not _is_equal(a, b):
            yield Difference(f"{prefix}{key}", _summarize(a), _summarize(b))


def _is_equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-9 * max(abs(a), abs(b))
    return bool(a == b)


def _summarize(value: Any) -> Any:
    return value.get("name", "present") if isinstance(value, Mapping) else value


def format_ranges(numbers: Sequence[int]) -> str:
    """Formats 0, 1, 2, 5 as ``0-2, 5``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
