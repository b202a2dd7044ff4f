"""Multi-head latent attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn

from zoo.checks import require_even, require_positive
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.components.attention._softmax import SoftmaxAttention
from zoo.model.attend import Scores, attend
from zoo.model.cache import Cache
from zoo.model.interfaces import Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register


@final
@register("attention", "latent", paper="arXiv:2405.04434")
class LatentAttention(SoftmaxAttention):
    """Multi-head latent attention (MLA): keys and values are projected from one low-rank latent vector per token.

    Keys have a second part, which is rotated and shared by all heads. The cache holds the latent vectors and shared
    keys. With a cache, the key and value projections are absorbed into queries and outputs, so that keys and values of
    the heads are never computed.

    Args:
        dim: features per token.
        heads: number of heads.
        head_dim: features of the queries and keys of a head that are not rotated.
        norm: constructs the norms of the latent vectors.
        rank: features of the latent vector of keys and values.
        query_rank: features of the latent vector of queries; null projects queries from the token itself.
        rope_dim: rotated features of the queries of a head, and features of the shared key; even.
        value_dim: features of the values of a head; null is ``head_dim``.
        scores: window, soft-cap, scale, dropout and sinks; ``scale: null`` is ``(head_dim + rope_dim) ** -0.5``.
    Raises:
        Refused: if a size is not positive, or ``rope_dim`` is odd.
    Source: DeepSeek-AI 2024 (DeepSeek-V2).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        rank: int = 64,
        query_rank: int | None = None,
        rope_dim: int = 16,
        value_dim: int | None = None,
        scores: Scores = Scores(),
    ) -> None:
        super().__init__()
        value_dim = head_dim if value_dim is None else value_dim
        for name, size in (("rank", rank), ("rope_dim", rope_dim), ("value_dim", value_dim)):
            require_positive(name, size)
        require_even("rope_dim", rope_dim)
        self.heads, self.head_dim, self.rope_dim, self.value_dim = heads, head_dim, rope_dim, value_dim
        self.scores = scores if scores.scale is not None else replace(scores, scale=(head_dim + rope_dim) ** -0.5)
        self.query_down, self.query_norm = None, None
        if query_rank is not None:
            require_positive("query_rank", query_rank)
            self.query_down, self.query_norm = nn.Linear(dim, query_rank, bias=False), norm(query_rank)
        self.query = nn.Linear(query_rank or dim, heads * (head_dim + rope_dim), bias=False)
        self.down, self.norm = nn.Linear(dim, rank, bias=False), norm(rank)
        self.shared_key = nn.Linear(dim, rope_dim, bias=False)
        self.key = nn.Linear(rank, heads * head_dim, bias=False)
        self.value = nn.Linear(rank, heads * value_dim, bias=False)
        self.output = OutputLinear(heads * value_dim, dim, bias=False)
        self.sinks = nn.Parameter(torch.zeros(heads)) if scores.sinks else None

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        if self.query_down is not None and self.query_norm is not None:
            x = self.query_norm(self.query_down(x))
        q = split_heads(self.query(x), self.heads)  # [batch, heads, query, head_dim + rope_dim]
        q, rotated = q[..., : self.head_dim], position.rotate_queries(q[..., self.head_dim :], mask.query.position)
        latent = self.norm(self.down(memory))[:, None]  # [batch, 1, key, rank]
        shared = position.rotate_keys(self.shared_key(memory)[:, None], mask.key.position)  # [batch, 1, key, rope_dim]
        if cache is None:
            mixed = self._attend_expanded(q, rotated, latent, shared, mask, position)
        else:
            (latent, shared), mask = cache.extend((latent, shared), mask)
            mixed = self._attend_absorbed(q, rotated, latent, shared, mask, position)
        output: Tensor = self.output(merge_heads(mixed))
        return output

    def _attend_expanded(
        self, q: Tensor, rotated: Tensor, latent: Tensor, shared: Tensor, mask: Mask, position: Position
    ) -> Tensor:
        """Attends with keys and values of every head, ``[batch, heads, query, value_dim]``."""
        k, v = (split_heads(part(latent[:, 0]), self.heads) for part in (self.key, self.value))
        k = torch.cat([k, shared.expand(-1, self.heads, -1, -1)], dim=-1)
        return self._attend(torch.cat([q, rotated], dim=-1), k, v, q, mask, position)

    def _attend_absorbed(
        self, q: Tensor, rotated: Tensor, latent: Tensor, shared: Tensor, mask: Mask, position: Position
    ) -> Tensor:
        """Attends in the latent space, with one head of keys and values for all queries.

        Since q · (Wₖ latent) = (q Wₖ) · latent, queries are mapped to the latent space; averages of latent vectors are
        mapped to values afterwards, ``[batch, heads, query, value_dim]``.
        """
        # [heads, head_dim or value_dim, rank]
        key, value = (part.weight.view(self.heads, -1, latent.shape[-1]) for part in (self.key, self.value))
        absorbed_q, k = torch.cat([q @ key, rotated], dim=-1), torch.cat([latent, shared], dim=-1)
        return self._attend(absorbed_q, k, latent, q, mask, position) @ value.mT

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, asking: Tensor, mask: Mask, position: Position) -> Tensor:
        """Calls ``attend``; a bias of the position is computed from the queries ``asking``, which are not absorbed."""
        return attend(q, k, v, mask, position, self.scores, self.sinks, asking=asking, training=self.training)

    @property
    def rotated_width(self) -> int:
        """Features of the queries and of the shared key that are rotated."""
        return self.rope_dim

    def flops(self, mask: Mask) -> int:
        """Counts the projections of both sides, the scores and the averages, in the form without a cache."""
        per_query = count_linear_flops(self.query) + count_linear_flops(self.output)
        per_query += 0 if self.query_down is None else count_linear_flops(self.query_down)
        per_key = sum(count_linear_flops(part) for part in (self.down, self.shared_key, self.key, self.value))
        pairs = mask.restrict_window(self.scores.window).count_pairs()
        products = 2 * self.heads * (self.head_dim + self.rope_dim + self.value_dim) * pairs
        return per_query * mask.query.length + per_key * mask.key.length + products
