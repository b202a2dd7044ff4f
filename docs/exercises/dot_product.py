"""Exercise 4: scaled dot-product attention with several heads and a mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

from torch import Tensor, nn

from zoo import Attention, Cache, Mask, Norm, OutputLinear, Position, count_linear_flops, register


@final
@register("attention", "exercise_dot_product", paper="arXiv:1706.03762")
class DotProductAttention(Attention):
    """Multi-head attention: softmax(q kᵀ / √head_dim) v in each head.

    Args:
        dim: features per token.
        heads: number of heads.
        head_dim: features per head.
        norm: unused.
    Source: Vaswani et al. 2017.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "cross", "packed"})

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm]) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.wq = nn.Linear(dim, heads * head_dim, bias=False)
        self.wk = nn.Linear(dim, heads * head_dim, bias=False)
        self.wv = nn.Linear(dim, heads * head_dim, bias=False)
        self.wo = OutputLinear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        q, k, v = (self.split_heads(part) for part in (self.wq(x), self.wk(memory), self.wv(memory)))
        if cache is not None:
            (k, v), mask = cache.extend((k, v), mask)  # exercise 7
        mixed = self.mix(q, k, v, mask.materialize()[:, None])
        out: Tensor = self.wo(mixed.transpose(1, 2).flatten(2))
        return out

    def split_heads(self, x: Tensor) -> Tensor:
        """Reshapes ``[batch, length, heads * head_dim]`` to ``[batch, heads, length, head_dim]``."""
        raise NotImplementedError("exercise 4: the reshaping above")

    def mix(self, q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
        """Computes softmax(q kᵀ / √head_dim) v over the keys that a query may see; zero for a query that sees none.

        Args:
            q: queries ``[batch, heads, query, head_dim]``.
            k: keys ``[batch, heads, key, head_dim]``.
            v: values ``[batch, heads, key, head_dim]``.
            seen: True where a query may attend to a key, bool ``[batch or 1, 1, query, key]``.
        Returns:
            ``[batch, heads, query, head_dim]``.
        """
        raise NotImplementedError("exercise 4: the formula above")

    def flops(self, mask: Mask) -> int:
        """Counts the projections, the scores and the averages."""
        per_query = count_linear_flops(self.wq) + count_linear_flops(self.wo)
        per_key = count_linear_flops(self.wk) + count_linear_flops(self.wv)
        products = 4 * self.heads * self.head_dim * mask.count_pairs()
        return per_query * mask.query.length + per_key * mask.key.length + products
