"""View of parameters and costs: what each kind of module holds and computes, and how costs grow with the length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from zoo.checks import require_positive
from zoo.inspect.summary import compute_shares
from zoo.model.cost import build_on_meta, measure_modules
from zoo.model.footprint import create_blank_inputs
from zoo.model.plan import ModelPlan
from zoo.model.variants.variant import Variant

LENGTHS = tuple(2**power for power in range(7, 18))
"""Lengths of rows for which costs are measured: 128 to 131,072 tokens."""


@dataclass(frozen=True)
class LengthCost:
    """Costs of one row.

    Args:
        length: tokens of the row, and of its source in an encoder-decoder.
        flops_per_token: operations of the forward pass, divided by the tokens of row and source.
        cache_bytes: memory of the caches of decoding in float32; 0 for an encoder.
    """

    length: int
    flops_per_token: float
    cache_bytes: int


@dataclass(frozen=True)
class ParameterView:
    """Parameters and costs of a model.

    Args:
        variant: decoder, encoder or encoder_decoder.
        vocabulary: size of the vocabulary.
        parameters: number of parameters; tied ones count once.
        active_parameters: number of parameters that are used for one token.
        shares: shares of attention, ffn, embedding, head and other in the parameters; they sum to 1.
        layer_shares: shares of attention, ffn and other in the parameters of neither embedding nor head.
        flops_shares: shares of the same groups as ``shares`` in the operations of the forward pass over a row of
            ``flops_length`` tokens.
        flops_length: tokens of that row.
        limit: longest row that the model supports, in tokens; None is no limit.
        growth: costs for longer and longer rows, up to ``limit``.
    """

    variant: str
    vocabulary: int
    parameters: int
    active_parameters: int
    shares: dict[str, float]
    layer_shares: dict[str, float]
    flops_shares: dict[str, float]
    flops_length: int
    limit: int | None
    growth: tuple[LengthCost, ...]


def measure_parameters(plan: ModelPlan, vocabulary: int, lengths: Sequence[int] = LENGTHS) -> ParameterView:
    """Measures parameters and costs of the model of a plan, without memory for its weights.

    Args:
        plan: a plan without problems, such as ``plan`` of a loaded model.
        vocabulary: vocabulary size of the data; that of the plan is used if it has one.
        lengths: tokens of the rows of ``growth``. Where the model has fewer positions, the longest row that it
            supports takes the place of all that are longer.
    Raises:
        Refused: if a length is not positive.
    """
    for length in lengths:
        require_positive("length", length)
    model = build_on_meta(plan, vocabulary).eval()
    limit = model.limit
    reached = sorted({min(length, limit or length) for length in lengths})
    flops_length = min(LENGTHS[0], limit or LENGTHS[0])
    counted = measure_modules(model, flops_length, flops_length)
    shares = compute_shares(counted)
    return ParameterView(
        model.name,
        model.vocabulary,
        counted["parameters"],
        counted["active_parameters"],
        shares,
        _compute_layer_shares(shares),
        compute_shares(counted, "flops"),
        flops_length,
        limit,
        tuple(_measure_lengths(model, reached)),
    )


def _compute_layer_shares(shares: dict[str, float]) -> dict[str, float]:
    inside = {name: shares[name] for name in ("attention", "ffn", "other")}
    total = sum(inside.values()) or 1.0
    return {name: share / total for name, share in inside.items()}


def _measure_lengths(model: Variant, lengths: Sequence[int]) -> Iterator[LengthCost]:
    for length in lengths:
        source = length if len(model.get_stacks()) > 1 else 0
        flops = model.flops(length, source) / (length + source)
        yield LengthCost(length, flops, measure_allocated_bytes(model, length, source))


@torch.no_grad()
def measure_allocated_bytes(model: Variant, length: int, source: int) -> int:
    """Measures the caches of a row, which are allocated for all its tokens when the first one arrives.

    Args:
        model: a model on the meta device, in evaluation mode.
        length: tokens for which there is room.
        source: tokens of the encoder for which there is room; 0 without an encoder.
    """
    if not model.reader.causal:
        return 0
    caches = model.reader.create_caches(length, source)
    model.compute_hidden(create_blank_inputs(1, min(1, source)), caches)
    return sum(part.bytes for cache in caches for part in (cache.attention, cache.cross) if part is not None)
