"""View of attention: for each head the grid of q · k, scaled, masked and softmaxed, and measures over the text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from zoo.inspect.head_measures import measure_heads
from zoo.inspect.packed_arrays import pack_bits, pack_numbers
from zoo.inspect.trace import Summarize, Trace
from zoo.model.capture import AttentionRecord
from zoo.model.inputs import Inputs
from zoo.model.stack import Stack
from zoo.model.variants.variant import Variant

GRID_CELLS = 320_000  # of all heads together; a cell has two or three numbers of 16 bits
TOP_CELLS = 160_000  # of all heads together, strongest keys of all queries
MOST_KEYS = 8  # strongest keys of a query that are kept


def make_summarizer(model: Variant, inputs: Inputs) -> Summarize:
    """Makes a function that reduces a record of attention to what a page shows.

    Args:
        model: decides how many heads share the space of the page.
        inputs: tokens, and the source of an encoder-decoder.
    """
    heads = max(1, sum(_count_heads(stack) for stack in model.get_stacks().values()))
    longest = max(inputs.tokens.shape[1], 0 if inputs.source is None else inputs.source.shape[1])
    size = min(longest, max(8, math.isqrt(GRID_CELLS // heads)))
    keys = max(1, min(MOST_KEYS, TOP_CELLS // (heads * longest)))

    def summarize(stack: str, sublayer: str, record: AttentionRecord) -> dict[str, Any]:
        tokens = inputs.source if stack == "encoder" and inputs.source is not None else inputs.tokens
        weights = record.weights[0].float()  # [heads, query, key]
        is_own = sublayer == "attention" and weights.shape[1] == weights.shape[2] == tokens.shape[1]
        measures = measure_heads(weights, tokens[0] if is_own else None, is_softmax=record.scores is not None)
        return {
            "heads": len(weights),
            "queries": weights.shape[1],
            "keys": weights.shape[2],
            "softmax": record.scores is not None,
            "scale": record.scale,
            "grid": _build_grid(record, min(size, weights.shape[1]), min(size, weights.shape[2])),
            "strongest": _find_strongest_keys(weights, keys) if weights.shape[1] > size else None,
            "measures": asdict(measures),
        }

    return summarize


def _count_heads(stack: Stack) -> int:
    mixers = [part for layer in stack.list_applied_layers() for part in (layer.attention, layer.cross) if part]
    return sum(int(getattr(mixer, "heads", 1)) for mixer in mixers)


def _build_grid(record: AttentionRecord, queries: int, keys: int) -> dict[str, Any]:
    """Packs the first queries and keys of each head, ``[heads, queries, keys]``."""
    heads = record.weights.shape[1]

    def cut(values: Tensor) -> Tensor:
        return values[0].expand(heads, -1, -1)[:, :queries, :keys]

    grid: dict[str, Any] = {"weights": pack_numbers(cut(record.weights))}
    if record.products is not None:
        grid["products"] = pack_numbers(cut(record.products))
    if record.scores is not None and not _is_scaled(record):
        grid["scores"] = pack_numbers(cut(record.scores))
    if record.visible is not None:
        grid["visible"] = pack_bits(cut(record.visible))
    return grid


def _is_scaled(record: AttentionRecord) -> bool:
    """True if scores are products times the scale, without bias or soft-cap."""
    if record.products is None or record.scores is None or record.scores.shape != record.products.shape:
        return False
    return torch.allclose(record.products * record.scale, record.scores, atol=1e-5, rtol=1e-5)


def _find_strongest_keys(weights: Tensor, count: int) -> dict[str, Any]:
    """Finds the keys of the largest weights of all queries, ``[heads, query, count]``."""
    keys = weights.abs().topk(min(count, weights.shape[-1]), dim=-1).indices
    return {"keys": pack_numbers(keys), "weights": pack_numbers(weights.gather(-1, keys))}


def build_attention_view(model: Variant, trace: Trace) -> list[dict[str, Any]]:
    """Lists the attentions of a trace whose records were reduced by :func:`make_summarizer`.

    An attention of several branches (native sparse attention) has an entry for each; one without weights has an entry
    without heads.
    """
    return [entry for name in trace.stacks for entry in _list_entries(model, trace, name)]


def _list_entries(model: Variant, trace: Trace, name: str) -> Iterator[dict[str, Any]]:
    applied = model.get_stacks()[name].list_applied_layers()
    for number, layer in enumerate(trace.stacks[name].layers):
        for sublayer in layer.sublayers:
            if sublayer.name == "ffn":
                continue
            component = type(getattr(applied[number], sublayer.name)).__name__
            about = {"stack": name, "layer": number, "sublayer": sublayer.name, "component": component}
            about["branches"] = len(sublayer.attention)
            for branch, found in enumerate(sublayer.attention or [{"heads": 0}]):
                yield {**about, "branch": branch, **found}
