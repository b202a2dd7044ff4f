"""What a model costs: parameters and operations, by module and by length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from zoo.model.build import assemble
from zoo.model.footprint import measure_activations, measure_caches
from zoo.model.interfaces import Component
from zoo.model.mask import Mask, Tokens
from zoo.model.parts import use_meta_device
from zoo.model.plan import ModelPlan
from zoo.model.stack import Layer, Stack
from zoo.model.variants.variant import Variant

GROWTH_TOKENS = 64
"""The tokens over which the cost of a further one is averaged: some memories grow by blocks."""


@dataclass(frozen=True)
class Cost:
    """Of one model and one length of rows.

    Args:
        parameters: all, tied ones once.
        active_parameters: those that take part in a token's computation, as published systems count them: all but the
            experts that a token does not go to. Embedding, head, routers and shared experts are active.
        flops_per_token: operations that the method needs in one training step, for each token read; thrice those of the
            forward pass.
        length: tokens of a row in the reading stack.
        source: tokens of a row in the encoder of an encoder-decoder, else 0.
    """

    parameters: int
    active_parameters: int
    flops_per_token: int
    length: int
    source: int


def compute_cost(model: Variant, length: int, source: int) -> Cost:
    """The cost of training ``model`` on rows of ``length`` tokens, and ``source`` tokens where there is an encoder."""
    source = source if len(model.get_stacks()) > 1 else 0
    counted = build_tree(model)
    per_token = round(3 * model.flops(length, source) / (length + source))
    return Cost(counted["parameters"], counted["active_parameters"], per_token, length, source)


def build_on_meta(plan: ModelPlan, vocabulary: int) -> Variant:
    """The model without memory for its weights."""
    with use_meta_device():
        return assemble(plan, vocabulary)


def count_buffers(model: nn.Module) -> int:
    """Numbers that a checkpoint holds beside the parameters, saved and not trained, as the correction of a router."""
    kept = model.state_dict(keep_vars=True)
    return sum(buffer.numel() for name, buffer in model.named_buffers() if name in kept)


def measure_modules(model: Variant, length: int, source: int) -> dict[str, Any]:
    """The tree of ``model`` with all that it costs by module, for one row of ``length`` tokens.

    Args:
        model: on the meta device.
        length: tokens of the row.
        source: tokens of the row in the encoder; not used where there is none.
    Returns:
        ``build_tree``, and at each module ``flops`` (forward and backward), ``measure_cache_bytes`` of the row,
        ``cache_bytes_per_token`` for a further token, and ``activation_bytes`` that autograd keeps.
    """
    source = source if len(model.get_stacks()) > 1 else 0
    cache, forward = measure_caches(model, length, source), count_operations(model, length, source)
    counted = build_tree(
        model,
        flops=forward,
        cache_bytes=cache,
        cache_bytes_per_token=measure_cache_growth(model, cache, length, source),
        activation_bytes=measure_activations(model, length, source),
    )
    _split_flops(counted, model, True)
    return counted


def _split_flops(node: dict[str, Any], module: nn.Module, known: bool) -> None:
    """Forward and backward operations as one entry.

    A component declares its operations as a whole: those of its parts are not known.
    """
    node["flops"] = {"forward": node["flops"], "backward": 2 * node["flops"]} if known else None
    for name, part in node["modules"].items():
        _split_flops(part, module.get_submodule(name), known and not isinstance(module, Component))


def measure_cache_bytes(model: Variant, length: int, source: int) -> int:
    """What decoding remembers of a row of ``length`` tokens; ``model`` is on the meta device."""
    return sum(measure_caches(model, length, source).values())


def count_operations(model: Variant, length: int, source: int) -> Counter[nn.Module]:
    """Forward operations of one row by module, without those of its parts; they add up to ``model.flops``."""
    found: Counter[nn.Module] = Counter()
    left = model.flops(length, source)
    for stack, mask, cross in _list_masks(model, length, source):
        found[stack] = stack.flops(mask.query.length, None if cross is None else cross.key.length)
        left -= found[stack]
        for layer in stack.list_applied_layers():
            whole = rest = layer.flops(mask, cross)
            for part, seen in _list_sublayers(layer, mask, cross):
                flops = part.flops(seen)
                found[part] += flops
                rest -= flops
            found[layer.residual] += rest
            found[stack] -= whole
    if model.head is not None:
        found[model.head] = left
    return found


def _list_masks(model: Variant, length: int, source: int) -> Iterator[tuple[Stack, Mask, Mask | None]]:
    """Who sees whom in each stack, and across."""
    two = len(model.get_stacks()) > 1
    for name, stack in model.get_stacks().items():
        own, reads = (source, None) if two and name == "encoder" else (length, source if two else None)
        tokens = Tokens.from_length(own, device="cpu")
        cross = None if reads is None else Mask(tokens, Tokens.from_length(reads, device="cpu"))
        yield stack, Mask(tokens, tokens, causal=stack.causal), cross


def _list_sublayers(layer: Layer, mask: Mask, cross: Mask | None) -> Iterator[tuple[Component, Mask]]:
    """The sublayers of a layer, and what each sees."""
    for part, seen in ((layer.attention, mask), (layer.cross, cross), (layer.ffn, mask)):
        if part is not None and seen is not None:
            yield part, seen


def measure_cache_growth(model: Variant, cache: Counter[nn.Module], length: int, source: int) -> Counter[nn.Module]:
    """Bytes that a further token adds to a cache; the last ones, where the model has no room for more."""
    more = (
        GROWTH_TOKENS
        if model.limit is None or length + GROWTH_TOKENS <= model.limit
        else -min(GROWTH_TOKENS, length - 1)
    )
    if more == 0:
        return Counter()
    other = measure_caches(model, length + more, source)
    return Counter({part: round((other[part] - count) / more) for part, count in cache.items()})


def build_tree(model: nn.Module, **measured: Mapping[nn.Module, int]) -> dict[str, Any]:
    """Modules by name: class, parameters in it, active ones, what was measured in it, and its own parts.

    A parameter or module that has two places is counted where it comes first. Of the parts of a router it is not
    known how many parameters are active: None.
    """
    return _build_node(model, measured, set(), True)


def _build_node(
    module: nn.Module, measured: Mapping[str, Mapping[nn.Module, int]], seen: set[int], known: bool
) -> dict[str, Any]:
    own = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in seen]
    figures = {"parameters": sum(parameter.numel() for parameter in own)}
    figures |= {name: by_module.get(module, 0) * (id(module) not in seen) for name, by_module in measured.items()}
    seen |= {id(module), *map(id, own)}
    idle = _count_idle_parameters(module) if known else 0
    parts = {name: _build_node(part, measured, seen, known and not idle) for name, part in module.named_children()}
    active = figures["parameters"] + sum(part["active_parameters"] or 0 for part in parts.values())
    figures = {name: count + sum(part[name] for part in parts.values()) for name, count in figures.items()}
    if idle:
        active = figures["parameters"] - idle
    costly = {name: part for name, part in parts.items() if any(part[figure] for figure in figures)}
    node = {"class": type(module).__name__, **figures, "active_parameters": active if known else None}
    return {**node, "modules": costly}


def _count_idle_parameters(module: nn.Module) -> int:
    """Parameters of a component that take no part in a token's computation."""
    return (
        sum(p.numel() for p in module.parameters()) - module.count_active_parameters()
        if isinstance(module, Component)
        else 0
    )
