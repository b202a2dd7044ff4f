"""Exercise 7: attention that continues from its cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

from torch import Tensor, nn

from zoo import (
    Attention,
    Cache,
    Mask,
    Norm,
    OutputLinear,
    Position,
    Scores,
    attend,
    count_linear_flops,
    register,
)


@final
@register("attention", "exercise_multi_query", paper="arXiv:1911.02150")
class MultiQueryAttention(Attention):
    """Multi-query attention: all heads share the keys and values of one head, so that the cache is that of one head.

    Args:
        dim: features per token.
        heads: number of heads of queries.
        head_dim: features per head.
        norm: unused.
    Source: Shazeer 2019.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "cross", "packed"})
    position_hooks: ClassVar[frozenset[str]] = frozenset({"rotate", "bias"})

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm]) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.wq = nn.Linear(dim, heads * head_dim, bias=False)
        self.wk = nn.Linear(dim, head_dim, bias=False)
        self.wv = nn.Linear(dim, head_dim, bias=False)
        self.wo = OutputLinear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``.

        With a cache, ``memory`` has the new tokens only, and the queries attend to the cached tokens, too.
        """
        q = self.wq(x).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)  # [batch, heads, query, head_dim]
        k, v = self.wk(memory)[:, None], self.wv(memory)[:, None]  # [batch, 1, key, head_dim]
        q = position.rotate_queries(q, mask.query.position)
        k = position.rotate_keys(k, mask.key.position)
        if cache is not None:
            (k, v), mask = cache.extend((k, v), mask)
        mixed = attend(q, k, v, mask, position, Scores())
        out: Tensor = self.wo(mixed.transpose(1, 2).flatten(2))
        return out

    def flops(self, mask: Mask) -> int:
        """Counts the projections, the scores and the averages."""
        per_query = count_linear_flops(self.wq) + count_linear_flops(self.wo)
        per_key = count_linear_flops(self.wk) + count_linear_flops(self.wv)
        products = 4 * self.heads * self.head_dim * mask.count_pairs()
        return per_query * mask.query.length + per_key * mask.key.length + products
