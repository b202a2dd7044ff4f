"""Product-key memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_between, require_even, require_positive
from zoo.model.interfaces import FeedForward
from zoo.model.mask import Tokens
from zoo.model.projections import BatchedLinear
from zoo.registry import register


@final
@register("ffn", "product_key", paper="arXiv:1907.05242")
class ProductKey(FeedForward):
    """Sum over heads of the softmax-weighted ``top_k`` of ``keys``² learned values with the best-scoring keys.

    A key is a pair of half keys, and its score is the sum of their scores. The best pairs consist of the best half
    keys, so 2 * ``keys`` scores per head are enough. Queries are normalized over their features; the paper normalizes
    them over the batch, by which tokens would influence each other.

    Args:
        dim: features per token and per value.
        hidden: unused.
        keys: number of keys of each half.
        heads: number of queries per token, each with its own keys; all share the values.
        key_dim: features of a query and of a key, divided equally between the two halves.
        top_k: number of values that a head reads; at least 2.
    Raises:
        Refused: if ``key_dim`` is odd, or if ``top_k`` is not between 2 and ``keys``.
    Source: Lample et al. 2019.
    """

    def __init__(
        self, dim: int, hidden: int, *, keys: int = 16, heads: int = 4, key_dim: int = 32, top_k: int = 8
    ) -> None:
        super().__init__()
        require_positive("heads", heads)
        require_positive("key_dim", key_dim)
        require_even("key_dim", key_dim)
        require_between("top_k", top_k, 2, keys)  # a single value has weight 1, so keys and queries get no gradient
        self.count, self.heads, self.top_k = keys, heads, top_k
        self.query = nn.Linear(dim, heads * key_dim)
        self.keys = BatchedLinear(heads * 2, key_dim // 2, keys)
        self.values = nn.Embedding(keys**2, dim)

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Maps ``[batch, length, dim]`` to the same shape."""
        q = self.query(x.flatten(0, 1)).unflatten(-1, (self.heads, -1))
        halves = F.layer_norm(q, q.shape[-1:]).view(len(q), self.heads * 2, -1)
        scores = self.keys(halves.transpose(0, 1)).transpose(0, 1).unflatten(1, (self.heads, 2))
        best, chosen = scores.topk(self.top_k, dim=-1)  # [tokens, heads, 2, top_k]
        pairs = (best[:, :, 0, :, None] + best[:, :, 1, None, :]).flatten(-2)
        values = (chosen[:, :, 0, :, None] * self.count + chosen[:, :, 1, None, :]).flatten(-2)
        total, indices = pairs.topk(self.top_k, dim=-1)
        weights = total.softmax(dim=-1).to(self.values.weight.dtype)
        read = values.gather(-1, indices)
        out = F.embedding_bag(read.flatten(1), self.values.weight, per_sample_weights=weights.flatten(1), mode="sum")
        return out.view_as(x)

    def count_active_parameters(self) -> int:
        """Counts all parameters except the values that a token does not read."""
        read = min(self.heads * self.top_k, self.values.num_embeddings)
        return super().count_active_parameters() - (self.values.num_embeddings - read) * self.values.embedding_dim

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Yields the values, without queries and keys, which only select."""
        yield self.values.weight
