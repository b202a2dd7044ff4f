"""What softmax attentions with query, key and value projections have in common; not a component itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zoo.checks import require_divides
from zoo.model.attend import Scores, attend
from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear

Bias = Literal["none", "qkv", "all"]
QkNorm = Literal["none", "head", "full"]


class DotProductAttention(Attention):
    """softmax(q kᵀ / √head_dim) v over ``heads`` query heads that share ``kv_heads`` key and value heads."""

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "cross", "packed"})
    position_hooks: ClassVar[frozenset[str]] = frozenset({"rotate", "bias"})

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
        """``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        q, k, v = self.query(x), self.key(memory), self.value(memory)
        if self.qk_norm == "full":
            q, k = self.query_norm(q), self.key_norm(k)
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in (q, k, v))
        if self.qk_norm == "head":
            q, k = self.query_norm(q), self.key_norm(k)
        q = position.rotate_queries(q, mask.query.position)
        k = position.rotate_keys(k, mask.key.position)
        if cache is not None:
            (k, v), mask = cache.extend((k, v), mask)
        allowed = self.allowed(q, k, mask, position)
        mixed = attend(q, k, v, mask, position, self.scores, self.sinks, allowed=allowed, training=self.training)
        mixed = mixed.transpose(1, 2).flatten(2)
        merged: Tensor = self.output(mixed if self.gate is None else mixed * self.gate(x).sigmoid())
        return merged

    def allowed(self, q: Tensor, k: Tensor, mask: Mask, position: Position) -> Tensor | None:
        """Which keys may be seen, beyond what the mask says; here: all. As ``attend`` takes it."""
        return None

    def flops(self, mask: Mask) -> int:
        """Projections of both sides, scores and averages."""
        per_query = count_linear_flops(self.query) + count_linear_flops(self.output)
        per_query += 0 if self.gate is None else count_linear_flops(self.gate)
        per_key = count_linear_flops(self.key) + count_linear_flops(self.value)
        products = 4 * self.heads * self.head_dim * self.count_pairs(mask)
        return per_query * mask.query.length + per_key * mask.key.length + products

    def count_pairs(self, mask: Mask) -> int:
        """How many query-key pairs are seen in all rows."""
        return mask.restrict_window(self.scores.window).count_pairs()

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Values and output; queries and keys only steer (DeepNorm)."""
        yield from (self.value.weight, self.output.weight)

    def create_cache(self, capacity: int) -> Cache:
        """Keys and values of up to ``capacity`` tokens, or of the window if that is less."""
        return Cache(capacity if self.scores.window is None else min(capacity, self.scores.window))
