"""Attention to the largest scores only."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from zoo.checks import require
from zoo.components.attention._projected import Bias, DotProductAttention
from zoo.model.attend import Scores, compute_scores
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.registry import register


@final
@register("attention", "sparse_top_k", paper="arXiv:1912.11637")
class SparseTopKAttention(DotProductAttention):
    """Softmax attention over the ``keep`` largest scores of each query; of equal ones at the edge, all stay.

    Args:
        dim: features per token.
        heads: heads.
        head_dim: features per head; heads * head_dim need not be dim.
        norm: not used.
        keep: how many keys each query of each head sees at most.
        bias: which projections have biases: none, those of queries, keys and values, or all.
        scores: window, soft-cap, scale, dropout, sinks; a sink is not counted.
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
        require(keep > 1, f"keep must be at least 2, since one key has weight one: got keep={keep}")
        self.keep = keep

    def allowed(self, q: Tensor, k: Tensor, mask: Mask, position: Position) -> Tensor | None:
        """Pairs whose score is not below the smallest that is kept: ``[batch, heads, query, key]``."""
        if mask.key.length <= self.keep:
            return None
        found = compute_scores(q.detach(), k.detach(), mask, position, self.scores).detach()
        edge = found.topk(self.keep, dim=-1).values[..., -1:]
        # Scores of equal keys differ by rounding, and not in the same way with a cache and without.
        size = found.masked_fill(found.isinf(), 0.0).abs().amax(dim=-1, keepdim=True)
        return found >= edge - 16 * torch.finfo(torch.promote_types(found.dtype, torch.float32)).eps * size

    def flops(self, mask: Mask) -> int:
        """As of multi-head attention, but values are averaged over the pairs that are kept alone."""
        seen = mask.restrict_window(self.scores.window)
        left_out = seen.count_pairs() - seen.count_pairs(most=self.keep)
        return super().flops(mask) - 2 * self.heads * self.head_dim * left_out
