"""Plans the layers of a checked model config, with overlays and exceptions resolved; does not import torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from zoo.model.schema import LAYER_OPTIONS, PLACES, SLOTS, STACK_OPTIONS, STACKS, check_part, overlay_part


@dataclass(frozen=True)
class Part:
    """Component with all options, and the config path that chose it; ``name`` is empty if it is unknown."""

    kind: str
    name: str
    options: Mapping[str, Any]
    path: str


@dataclass(frozen=True)
class LayerPlan:
    """Sizes and parts of a layer."""

    dim: int
    heads: int
    head_dim: int
    hidden: int
    dropout: float
    attention: Part
    ffn: Part
    norm: Part
    position: Part
    residual: Part


@dataclass(frozen=True)
class StackPlan:
    """Layers of a stack; ``base`` is a layer without exceptions.

    Layer i has the weights of layer i % ``distinct``. Embeddings have ``width`` features; None: as many as layers.
    """

    name: str
    base: LayerPlan
    layers: tuple[LayerPlan, ...]
    distinct: int
    width: int | None
    causal: bool
    input_norm: bool
    cross: Part | None


@dataclass(frozen=True)
class ModelPlan:
    """Stacks and parts of a model, and the checked config that describes them."""

    variant: str
    dim: int
    vocabulary: int | None
    stacks: tuple[StackPlan, ...]
    initialization: Part
    embedding: Mapping[str, Any]
    head: Mapping[str, Any] | None
    pooler: bool
    config: Mapping[str, Any] = field(repr=False, compare=False)


def plan_model(checked: Mapping[str, Any], problems: list[str], path: str = "model") -> ModelPlan:
    """Plans a model.

    Args:
        checked: result of ``check_model``.
        problems: list to which problems are appended, such as sizes that do not fit together.
        path: config path of the model.
    """
    names = STACKS if checked["variant"] == "encoder_decoder" else (checked["variant"],)
    found: list[str] = []
    if checked["dim"] < 1:
        found.append(f"{path}.dim: must be positive: got {checked['dim']}")
    stacks = tuple(_plan_stack(checked, name, found, path) for name in names)
    found += _find_unmatched(checked["exceptions"], [len(stack.layers) for stack in stacks], path)
    problems.extend(dict.fromkeys(found))
    ends = {key: checked[key] for key in ("embedding", "head", "pooler")}
    begin = _plan_part("initialization", checked["initialization"], f"{path}.initialization", [])
    return ModelPlan(checked["variant"], checked["dim"], checked["vocabulary"], stacks, begin, **ends, config=checked)


def _find_unmatched(exceptions: Mapping[str, Any], layers: Sequence[int], path: str) -> Iterator[str]:
    """Yields exceptions that match no layer, and layers in ``at`` that no stack has."""
    counts = " and ".join(map(str, layers))
    for name, what in exceptions.items():
        where = f"{path}.exceptions.{name}"
        absent = [layer for layer in what.get("at") or () if not any(0 <= layer < count for count in layers)]
        if absent:
            yield f"{where}.at: must be layers, from 0: got {absent} of {counts} layers"
        said = any(what.get(key) is not None for key in PLACES)  # otherwise reported by check_model
        if said and not absent and not any(_is_selected(what, i, count) for count in layers for i in range(count)):
            yield f"{where}: must match a layer: got none of {counts} layers"


def _plan_stack(checked: Mapping[str, Any], name: str, problems: list[str], path: str) -> StackPlan:
    level = {key: checked[key] for key in (*SLOTS, *(option.name for option in STACK_OPTIONS))}
    paths = dict.fromkeys((*SLOTS, *level), path)
    overlay = checked.get(name) or {}
    level, paths = _overlay(level, paths, overlay, f"{path}.{name}")
    base = _plan_layer(checked["dim"], level, paths, problems)
    layers = []
    for layer in range(level["layers"]):
        here, here_paths = level, paths
        for exception, what in checked["exceptions"].items():
            if _is_selected(what, layer, level["layers"]):
                here, here_paths = _overlay(here, here_paths, what, f"{path}.exceptions.{exception}")
        layers.append(base if here is level else _plan_layer(checked["dim"], here, here_paths, problems))
    if level["layers"] < 1:
        problems.append(f"{paths['layers']}.layers: must be positive: got {level['layers']}")
    distinct = level["layers"] if level["distinct_layers"] is None else level["distinct_layers"]
    problems += [
        f"{paths['distinct_layers']}.distinct_layers: {line}" for line in _find_sharing_problems(layers, distinct)
    ]
    cross = (
        _plan_cross(checked, base, path, problems)
        if name == "decoder" and checked["variant"] == "encoder_decoder"
        else None
    )
    width = checked["embedding"]["width"]
    return StackPlan(name, base, tuple(layers), distinct, width, name == "decoder", level["input_norm"], cross)


def _find_sharing_problems(layers: Sequence[LayerPlan], distinct: int) -> Iterator[str]:
    """Yields the reason why the layers cannot share the weights of the first ``distinct`` layers."""
    if layers and not 1 <= distinct <= len(layers):
        yield f"must be between 1 and layers: got distinct_layers={distinct}, layers={len(layers)}"
        return
    for number, layer in enumerate(layers):
        like = layers[number % distinct]
        differ = [
            item.name
            for item in fields(LayerPlan)
            if not _is_equal(getattr(layer, item.name), getattr(like, item.name))
        ]
        if differ:
            both = f"layers {number % distinct} and {number}, which differ in {', '.join(differ)}"
            yield f"layers that share weights must be equal: got distinct_layers={distinct} and {both}"
            return


def _is_equal(one: Any, other: Any) -> bool:
    """True if two values of layers are equal; paths of parts are ignored."""
    if isinstance(one, Part) and isinstance(other, Part):
        return (one.name, one.options) == (other.name, other.options)
    return bool(one == other)


def _overlay(
    level: Mapping[str, Any], paths: Mapping[str, str], over: Mapping[str, Any], path: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Applies an overlay or exception to the values of a level, and updates the config path of each value."""
    new, new_paths = dict(level), dict(paths)
    for key, value in over.items():
        if key in level:
            new[key] = overlay_part(key, level[key], value) if key in SLOTS else value
            new_paths[key] = path
    return new, new_paths


def _is_selected(where: Mapping[str, Any], layer: int, layers: int) -> bool:
    """True if an exception selects this layer; ``every: n`` without an offset selects the last of every n."""
    if (first := where.get("first")) is not None:
        return bool(layer < first)
    if (last := where.get("last")) is not None:
        return bool(layer >= layers - last)
    if (every := where.get("every")) is not None:
        offset = where.get("offset")
        return bool(every > 0 and layer % every == (every - 1 if offset is None else offset))
    return layer in (where.get("at") or ())


def _plan_layer(dim: int, level: Mapping[str, Any], paths: Mapping[str, str], problems: list[str]) -> LayerPlan:
    heads, head_dim = level["heads"], level["head_dim"]
    for option in LAYER_OPTIONS[:3]:
        if level[option.name] is not None and level[option.name] < 1:
            problems.append(f"{paths[option.name]}.{option.name}: must be positive: got {level[option.name]}")
    if not 0 <= level["dropout"] < 1:
        problems.append(f"{paths['dropout']}.dropout: must be at least 0 and less than 1: got {level['dropout']}")
    if head_dim is None and heads > 0 and dim % heads:
        problems.append(f"{paths['heads']}.heads: heads must divide dim unless head_dim is given: got {heads=}, {dim=}")
    parts = {slot: _plan_part(slot, level[slot], f"{paths[slot]}.{slot}", problems) for slot in SLOTS}
    return LayerPlan(
        dim=dim,
        heads=heads,
        head_dim=head_dim or dim // max(heads, 1),
        hidden=level["hidden"] or 4 * dim,
        dropout=level["dropout"],
        **parts,
    )


def _plan_part(slot: str, chosen: Mapping[str, Any], path: str, problems: list[str]) -> Part:
    """Fills in the default options of a part and checks them."""
    if not chosen.get("name"):  # reported by check_model
        return Part(slot, "", {}, path)
    full = check_part(slot, chosen, path, problems)
    options = {key: value for key, value in full.items() if key != "name"}
    return Part(slot, full.get("name", ""), options, path)


def _plan_cross(checked: Mapping[str, Any], base: LayerPlan, path: str, problems: list[str]) -> Part:
    """Plans cross-attention, by default like the decoder's attention but without a window."""
    if not checked.get("cross"):
        scores = base.attention.options.get("scores")
        whole = {} if scores is None else {"scores": {**scores, "window": None}}
        return replace(base.attention, options={**base.attention.options, **whole})
    options = {key: value for key, value in checked["cross"].items() if key != "name"}
    if (window := (options.get("scores") or {}).get("window")) is not None:
        rule = "must be null, since tokens of source and target have no distance"
        problems.append(f"{path}.cross.scores.window: {rule}: got {window}")
    return Part("attention", checked["cross"]["name"], options, f"{path}.cross")
