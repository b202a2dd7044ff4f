"""Cost of a model: parameters, operations, cache and activation memory, by module."""

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
"""Number of tokens over which the cache growth per token is averaged, since some caches grow in blocks."""


@dataclass(frozen=True)
class Cost:
    """Parameters and operations of a model for one row length.

    Args:
        parameters: number of parameters; tied ones count once.
        active_parameters: parameters used for one token, as published systems count them: all except the experts that
            a token is not routed to. Embedding, head, routers and shared experts are active.
        flops_per_token: operations that the method needs in a training step for each token read, which are three times
            those of the forward pass.
        length: tokens of a row in the only stack or the decoder.
        source: tokens of a row in the encoder of an encoder-decoder, otherwise 0.
    """

    parameters: int
    active_parameters: int
    flops_per_token: int
    length: int
    source: int


def compute_cost(model: Variant, length: int, source: int) -> Cost:
    """Computes the cost of training ``model`` on rows of ``length`` tokens, and ``source`` tokens for an encoder."""
    source = source if len(model.get_stacks()) > 1 else 0
    counted = build_tree(model)
    per_token = round(3 * model.flops(length, source) / (length + source))
    return Cost(counted["parameters"], counted["active_parameters"], per_token, length, source)


def build_on_meta(plan: ModelPlan, vocabulary: int) -> Variant:
    """Builds the model of a plan on the meta device, without memory for its weights."""
    with use_meta_device():
        return assemble(plan, vocabulary)


def count_buffers(model: nn.Module) -> int:
    """Counts the elements of persistent buffers, such as the load-balancing bias of a router."""
    kept = model.state_dict(keep_vars=True)
    return sum(buffer.numel() for name, buffer in model.named_buffers() if name in kept)


def measure_modules(model: Variant, length: int, source: int) -> dict[str, Any]:
    """Measures the cost of every module of ``model`` for one row.

    Args:
        model: a model on the meta device.
        length: tokens of the row.
        source: tokens of the row in the encoder; ignored without an encoder.
    Returns:
        the result of :func:`build_tree`, with ``flops`` (forward and backward), ``cache_bytes`` of the row,
        ``cache_bytes_per_token`` for each further token, and ``activation_bytes`` that autograd saves, in each node.
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
    """Replaces ``flops`` of each node by forward and backward operations.

    A component declares its operations as a whole, so those of its submodules are None.
    """
    node["flops"] = {"forward": node["flops"], "backward": 2 * node["flops"]} if known else None
    for name, part in node["modules"].items():
        _split_flops(part, module.get_submodule(name), known and not isinstance(module, Component))


def measure_cache_bytes(model: Variant, length: int, source: int) -> int:
    """Measures the cache of a row of ``length`` tokens in bytes; ``model`` must be on the meta device."""
    return sum(measure_caches(model, length, source).values())


def count_operations(model: Variant, length: int, source: int) -> Counter[nn.Module]:
    """Counts forward operations of one row by module, without those of submodules; their sum is ``model.flops``."""
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
    """Yields each stack with its self-attention mask and, in a decoder with an encoder, its cross-attention mask."""
    two = len(model.get_stacks()) > 1
    for name, stack in model.get_stacks().items():
        own, reads = (source, None) if two and name == "encoder" else (length, source if two else None)
        tokens = Tokens.from_length(own, device="cpu")
        cross = None if reads is None else Mask(tokens, Tokens.from_length(reads, device="cpu"))
        yield stack, Mask(tokens, tokens, causal=stack.causal), cross


def _list_sublayers(layer: Layer, mask: Mask, cross: Mask | None) -> Iterator[tuple[Component, Mask]]:
    """Yields the sublayers of a layer, each with its mask."""
    for part, seen in ((layer.attention, mask), (layer.cross, cross), (layer.ffn, mask)):
        if part is not None and seen is not None:
            yield part, seen


def measure_cache_growth(model: Variant, cache: Counter[nn.Module], length: int, source: int) -> Counter[nn.Module]:
    """Measures the bytes that each further token adds to the cache, by module.

    Where ``model.limit`` leaves no room for further tokens, the growth over the last tokens is measured.
    """
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
    """Builds the tree of modules with their parameters and measured values, submodules included.

    A parameter or module that occurs twice counts at its first place. ``active_parameters`` is None inside a component
    that uses only some of its parameters, since it declares their number as a whole.

    Args:
        model: root of the tree.
        measured: values of each module without those of its submodules, by name of the value.
    Returns:
        ``class``, ``parameters``, ``active_parameters``, the measured values, and ``modules``: nodes by name.
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
    """Counts the parameters of a component that are not used for one token."""
    return (
        sum(p.numel() for p in module.parameters()) - module.count_active_parameters()
        if isinstance(module, Component)
        else 0
    )
