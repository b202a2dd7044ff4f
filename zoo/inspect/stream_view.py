"""View of the residual stream: E, what each sublayer adds to it (ΔE), and the token that each layer would say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.inspect.packed_arrays import pack_numbers
from zoo.inspect.trace import LayerTrace, StackTrace, Trace
from zoo.model.variants.variant import Variant

LAST = 40  # tokens at the end of a text for which words are given
WORDS = 5
_CHUNK = 64  # tokens whose logits are computed at a time


@torch.no_grad()
def build_stream_view(model: Variant, trace: Trace) -> list[dict[str, Any]]:
    """Describes the stream of each stack.

    For each: ``parts``, the embeddings and then every change in order; ``size``, the norm of each part by token, and
    ``stream``, the norm of the stream after it ``[parts, length]``; ``directions``, the tokens whose vectors have the
    largest cosine with each part, for the last tokens; ``error``, how far the sum of all parts is from the output.
    """
    return [_describe_stack(model, stack) for stack in trace.stacks.values()]


def _describe_stack(model: Variant, stack: StackTrace) -> dict[str, Any]:
    parts = list(_list_parts(stack))
    values = torch.cat([value for _, value in parts])  # [parts, length, dim]
    totals = values.cumsum(dim=0)
    reader = model.get_stacks()[stack.name]
    whole = totals[-1:] if reader.final_norm is None else reader.final_norm(totals[-1:])
    last = values[:, -LAST:]
    return {
        "stack": stack.name,
        "parts": [about for about, _ in parts],
        "size": pack_numbers(values.norm(dim=-1)),
        "stream": pack_numbers(totals.norm(dim=-1)),
        "first": values.shape[1] - last.shape[1],
        "directions": None if stack.name == "encoder" and model.name != "encoder" else _find_directions(model, last),
        "error": float((whole - stack.hidden).abs().max()),
    }


def _list_parts(stack: StackTrace) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Yields the embeddings and each change that is not zero throughout, with its place."""
    yield {"layer": None, "name": "embedding"}, stack.layers[0].before
    for number, layer in enumerate(stack.layers):
        yield from _list_changes(number, layer)


def _list_changes(number: int, layer: LayerTrace) -> Iterator[tuple[dict[str, Any], Tensor]]:
    if bool(layer.wiring.any()):
        yield {"layer": number, "name": "wiring"}, layer.wiring
    for sublayer in layer.sublayers:
        yield {"layer": number, "name": sublayer.name}, sublayer.change


def _find_directions(model: Variant, parts: Tensor) -> dict[str, Any] | None:
    """Finds the tokens whose vectors have the largest cosine with each part ``[parts, tokens, dim]``."""
    table = model.embedding.table.weight
    if table.shape[1] != parts.shape[-1]:
        return None  # factorized embeddings have another width
    vectors = F.normalize(table.float() - table.float().mean(dim=0), dim=-1)
    ids, cosines = [], []
    for rows in torch.split(F.normalize(parts.float(), dim=-1).flatten(0, 1), _CHUNK):
        best = (rows @ vectors.mT).topk(min(WORDS, len(table)), dim=-1)
        ids.append(best.indices)
        cosines.append(best.values)
    shape = (*parts.shape[:2], -1)
    return {"ids": torch.cat(ids).view(shape).tolist(), "cosines": pack_numbers(torch.cat(cosines).view(shape))}


@torch.no_grad()
def build_lens_view(model: Variant, trace: Trace) -> dict[str, Any] | None:
    """Computes the next token as each layer would say it: final norm and head applied to the stream before it.

    ``ids`` and ``probabilities`` are those of the likeliest tokens, ``[layers + 1, last tokens, words]``; None without
    a head. This is the logit lens (nostalgebraist 2020; Belrose et al. 2023, arXiv:2303.08112).
    """
    if model.head is None:
        return None
    stack, norm = list(trace.stacks.values())[-1], model.reader.final_norm
    first = max(0, stack.hidden.shape[1] - LAST)
    ids, probabilities = [], []
    for stream in stack.streams:
        state = stream[:, first:] if norm is None else norm(stream[:, first:])
        best = model.logits(state)[0].float().softmax(dim=-1).topk(min(WORDS, model.vocabulary), dim=-1)
        ids.append(best.indices)
        probabilities.append(best.values)
    return {
        "first": first,
        "ids": torch.stack(ids).tolist(),
        "probabilities": pack_numbers(torch.stack(probabilities)),
    }
