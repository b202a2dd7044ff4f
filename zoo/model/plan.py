"""From a checked model config to one plan for each layer: overlays and exceptions resolved, no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from zoo.model.schema import LAYER_OPTIONS, PLACES, SLOTS, STACK_OPTIONS, STACKS, check_part, overlay_part


@dataclass(frozen=True)
class Part:
    """A chosen component with every option, and the config path that it comes from; no name if it is not known."""

    kind: str
    name: str
    options: Mapping[str, Any]
    path: str


@dataclass(frozen=True)
class LayerPlan:
    """What one layer is made of."""

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
    """What one stack is made of; ``base`` is a layer without exceptions.

    Layer i has the weights of layer i modulo ``distinct``; embeddings come with ``width`` features, unless None.
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
    """What a model is made of, and the checked config that says so."""

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
    """The plan of a config that ``check_model`` made; numbers that do not fit together are problems."""
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
    """Exceptions, and layers that they name, that are in no stack."""
    counts = " and ".join(map(str, layers))
    for name, what in exceptions.items():
        where = f"{path}.exceptions.{name}"
        absent = [layer for layer in what.get("at") or () if not any(0 <= layer < count for count in layers)]
        if absent:
            yield f"{where}.at: must be layers, from 0: got {absent} of {counts} layers"
        said = any(what.get(key) is not None for key in PLACES)  # else a problem that is known already
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
    """Why these layers cannot share the weights of the first ``distinct`` of them."""
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
            yield f"layers that share weights must be alike: got distinct_layers={distinct} and {both}"
            return


def _is_equal(one: Any, other: Any) -> bool:
    """Whether two values of layers mean the same, wherever they were written."""
    if isinstance(one, Part) and isinstance(other, Part):
        return (one.name, one.options) == (other.name, other.options)
    return bool(one == other)


def _overlay(
    level: Mapping[str, Any], paths: Mapping[str, str], over: Mapping[str, Any], path: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """A level with what an overlay or exception says written over it; ``paths`` remembers who said what."""
    new, new_paths = dict(level), dict(paths)
    for key, value in over.items():
        if key in level:
            new[key] = overlay_part(key, level[key], value) if key in SLOTS else value
            new_paths[key] = path
    return new, new_paths


def _is_selected(where: Mapping[str, Any], layer: int, layers: int) -> bool:
    """Whether an exception is about this layer; ``every: n`` without an offset is the last of each n."""
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
    """A part in full: what replaced another has only the options that were written, until here."""
    if not chosen.get("name"):  # a problem that is known already
        return Part(slot, "", {}, path)
    full = check_part(slot, chosen, path, problems)
    options = {key: value for key, value in full.items() if key != "name"}
    return Part(slot, full.get("name", ""), options, path)


def _plan_cross(checked: Mapping[str, Any], base: LayerPlan, path: str, problems: list[str]) -> Part:
    """Cross-attention, unset like the decoder's attention; source and target are two rows, so it has no window."""
    if not checked.get("cross"):
        scores = base.attention.options.get("scores")
        whole = {} if scores is None else {"scores": {**scores, "window": None}}
        return replace(base.attention, options={**base.attention.options, **whole})
    options = {key: value for key, value in checked["cross"].items() if key != "name"}
    if (window := (options.get("scores") or {}).get("window")) is not None:
        rule = "must be null: no distance is known between the tokens of source and target"
        problems.append(f"{path}.cross.scores.window: {rule}: got {window}")
    return Part("attention", checked["cross"]["name"], options, f"{path}.cross")
