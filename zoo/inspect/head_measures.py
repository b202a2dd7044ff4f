"""Measures of what an attention head does over a text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class HeadMeasures:
    """Measures of each head, means over the queries of a text; None where they have no meaning.

    Weights that are no shares (linear mixers) enter with their absolute values, divided by their sum.

    Args:
        entropy: entropy of the weights in bits; 0 for a single key.
        distance: distance between query and key in tokens, weighted.
        previous: weight of the token before, of the queries that have one.
        own: weight of the token itself.
        first: weight of the first token, of all queries but the first (Xiao et al. 2023, arXiv:2309.17453).
        sink: what is missing to a sum of 1, as a learned sink takes it.
        induction: weight of the tokens that followed earlier occurrences of the same token, of the queries that have
            one (Olsson et al. 2022, arXiv:2209.11895).
    """

    entropy: list[float]
    distance: list[float] | None = None
    previous: list[float] | None = None
    own: list[float] | None = None
    first: list[float] | None = None
    sink: list[float] | None = None
    induction: list[float] | None = None


def measure_heads(weights: Tensor, tokens: Tensor | None, *, is_softmax: bool) -> HeadMeasures:
    """Measures heads.

    Args:
        weights: ``[heads, query, key]``.
        tokens: token ids ``[length]`` of self-attention, where queries and keys are the same tokens; None otherwise.
        is_softmax: whether the weights come from a softmax.
    """
    total = weights.abs().sum(dim=-1, keepdim=True)
    shares = weights if is_softmax else torch.where(total > 0, weights.abs() / total, 0.0)
    logs = torch.where(shares > 0, shares, 1.0).log2()
    entropy = -(shares * logs).sum(dim=-1).mean(dim=-1)
    sink = (1 - total[..., 0]).clamp(min=0).mean(dim=-1) if is_softmax else None
    if sink is not None and float(sink.max()) < 1e-4:
        sink = None
    found = HeadMeasures(entropy.tolist(), sink=None if sink is None else sink.tolist())
    return found if tokens is None else replace(found, **_measure_places(shares, tokens))


def _measure_places(shares: Tensor, tokens: Tensor) -> dict[str, Any]:
    """Computes the measures that depend on the places of queries and keys."""
    place = torch.arange(len(tokens), device=shares.device)
    found: dict[str, Any] = {
        "distance": (shares * (place[:, None] - place).abs()).sum(dim=-1).mean(dim=-1).tolist(),
        "own": shares.diagonal(dim1=1, dim2=2).mean(dim=-1).tolist(),
    }
    if len(tokens) > 1:
        found["previous"] = shares.diagonal(offset=-1, dim1=1, dim2=2).mean(dim=-1).tolist()
        found["first"] = shares[:, 1:, 0].mean(dim=-1).tolist()
        found["induction"] = _measure_induction(shares, tokens)
    return found


def _measure_induction(shares: Tensor, tokens: Tensor) -> list[float] | None:
    """Averages, over queries whose token occurred before, the weight of the tokens that followed it ``[heads]``."""
    same = (tokens[:, None] == tokens).tril(-1)  # key j < i has the token of query i
    followers = torch.nn.functional.pad(same, (1, 0))[:, :-1]  # key j + 1
    queries = same.any(dim=-1)
    if not bool(queries.any()):
        return None
    taken = (shares * followers).sum(dim=-1)[:, queries]
    result: list[float] = taken.mean(dim=-1).tolist()
    return result
