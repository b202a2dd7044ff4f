"""Sparse attention to the largest scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from zoo.checks import require
from zoo.components.attention._dot_product import Bias, DotProductAttention
from zoo.model.attend import Scores, compute_scores
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.registry import register


@final
@register("attention", "sparse_top_k", paper="arXiv:1912.11637")
class SparseTopKAttention(DotProductAttention):
    """Top-k sparse attention: softmax over the ``keep`` largest scores of each query, ties included.

    Args:
        dim: features per token.
        heads: number of heads.
        head_dim: features per head; ``heads * head_dim`` may differ from ``dim``.
        norm: unused.
        keep: number of keys that each query of each head attends to.
        bias: projections with a bias: ``none``, those of queries, keys and values (``qkv``), or ``all``.
        scores: window, soft-cap, scale, dropout and sinks; a sink does not count as a key.
    Raises:
        Refused: if ``keep`` is less than 2.
    Source: Zhao et al. 2019 (Explicit Sparse Transformer).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        keep: int = 8,
        bias: Bias = "none",
        scores: Scores = Scores(),
    ) -> None:
        super().__init__(dim, heads, head_dim, norm, heads, bias, scores)
        require(keep > 1, f"keep must be at least 2, since a single key always has weight 1: got keep={keep}")
        self.keep = keep

    def select_keys(self, q: Tensor, k: Tensor, mask: Mask, position: Position) -> Tensor | None:
        """Selects keys whose score is at least the smallest one that is kept, ``[batch, heads, query, key]``."""
        if mask.key.length <= self.keep:
            return None
        scores = compute_scores(q.detach(), k.detach(), mask, position, self.scores).detach()
        threshold = scores.topk(self.keep, dim=-1).values[..., -1:]  # [batch, heads, query, 1]
        # Scores of equal keys differ by rounding errors, which depend on whether there is a cache: allow a tolerance.
        largest = scores.masked_fill(scores.isinf(), 0.0).abs().amax(dim=-1, keepdim=True)
        return scores >= threshold - 16 * torch.finfo(torch.promote_types(scores.dtype, torch.float32)).eps * largest

    def flops(self, mask: Mask) -> int:
        """Counts as multi-head attention does, but averages values only over the keys that are kept."""
        visible = mask.restrict_window(self.scores.window)
        hidden = visible.count_pairs() - visible.count_pairs(most=self.keep)
        return super().flops(mask) - 2 * self.heads * self.head_dim * hidden
