"""Base class of softmax attentions with query, key and value projections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from zoo.checks import require_divides
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.components.attention._softmax import SoftmaxAttention
from zoo.model.attend import Scores, attend
from zoo.model.cache import Cache
from zoo.model.interfaces import Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear

Bias = Literal["none", "qkv", "all"]
QkNorm = Literal["none", "head", "full"]


class DotProductAttention(SoftmaxAttention):
    """Base class of attentions that compute softmax(q kᵀ / √head_dim) v.

    ``heads`` query heads share ``kv_heads`` key and value heads; arguments are those of ``GroupedQueryAttention``.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        kv_heads: int,
        bias: Bias,
        scores: Scores,
        qk_norm: QkNorm = "none",
        output_gate: bool = False,
    ) -> None:
        super().__init__()
        require_divides("kv_heads", kv_heads, "heads", heads)
        self.heads, self.kv_heads, self.head_dim, self.scores = heads, kv_heads, head_dim, scores
        self.query = nn.Linear(dim, heads * head_dim, bias=bias != "none")
        self.key = nn.Linear(dim, kv_heads * head_dim, bias=bias != "none")
        self.value = nn.Linear(dim, kv_heads * head_dim, bias=bias != "none")
        self.output = OutputLinear(heads * head_dim, dim, bias=bias == "all")
        self.qk_norm = qk_norm
        if qk_norm != "none":
            per_head = qk_norm == "head"
            self.query_norm = norm(head_dim if per_head else heads * head_dim)
            self.key_norm = norm(head_dim if per_head else kv_heads * head_dim)
        self.gate = nn.Linear(dim, heads * head_dim, bias=bias != "none") if output_gate else None
        self.sinks = nn.Parameter(torch.zeros(heads)) if scores.sinks else None

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        q, k, v = self.query(x), self.key(memory), self.value(memory)
        if self.qk_norm == "full":
            q, k = self.query_norm(q), self.key_norm(k)
        q, k, v = split_heads(q, self.heads), split_heads(k, self.kv_heads), split_heads(v, self.kv_heads)
        if self.qk_norm == "head":
            q, k = self.query_norm(q), self.key_norm(k)
        q = position.rotate_queries(q, mask.query.position)
        k = position.rotate_keys(k, mask.key.position)
        if cache is not None:
            (k, v), mask = cache.extend((k, v), mask)
        mask = self.restrict(mask)
        allowed = self.select_keys(q, k, mask, position)
        mixed = attend(q, k, v, mask, position, self.scores, self.sinks, allowed=allowed, training=self.training)
        mixed = merge_heads(mixed)
        output: Tensor = self.output(mixed if self.gate is None else mixed * self.gate(x).sigmoid())
        return output

    def restrict(self, mask: Mask) -> Mask:
        """Restricts a mask to the keys that this attention may see; here, to its window."""
        return mask.restrict_window(self.scores.window)

    def select_keys(self, q: Tensor, k: Tensor, mask: Mask, position: Position) -> Tensor | None:
        """Selects the keys that each query may see beyond what ``mask`` says.

        Args:
            q: queries ``[batch, heads, query, head_dim]``.
            k: keys ``[batch, kv_heads, key, head_dim]``.
            mask: mask over the queries and keys.
            position: hooks of the position component.
        Returns:
            bool ``[batch or 1, heads or 1, query, key]``, False where a key is hidden; None, as here, hides none.
        """
        return None

    def flops(self, mask: Mask) -> int:
        """Counts the projections of both sides, the scores and the averages."""
        per_query = count_linear_flops(self.query) + count_linear_flops(self.output)
        per_query += 0 if self.gate is None else count_linear_flops(self.gate)
        per_key = count_linear_flops(self.key) + count_linear_flops(self.value)
        products = 4 * self.heads * self.head_dim * self.count_pairs(mask)
        return per_query * mask.query.length + per_key * mask.key.length + products

    def count_pairs(self, mask: Mask) -> int:
        """Counts the visible query-key pairs of all rows."""
        return self.restrict(mask).count_pairs()
