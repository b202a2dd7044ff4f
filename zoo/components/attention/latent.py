"""Multi-head latent attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.checks import require_even, require_positive
from zoo.model.attend import Scores, attend
from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register


@final
@register("attention", "latent", paper="arXiv:2405.04434")
class LatentAttention(Attention):
    """Softmax attention whose keys and values are made from one short latent vector per token, which is all it caches.

    Keys have a second part, rotated and shared by the heads. With a cache, queries and outputs are carried over to the
    latent space instead, so that keys and values are never made.

    Args:
        dim: features per token.
        heads: heads.
        head_dim: features of a head's queries and keys that are not rotated.
        norm: makes the norms of the latent vectors.
        rank: features of the latent vector of keys and values.
        query_rank: features of the latent vector of queries; null makes queries from the token itself.
        rope_dim: features of queries, and of the shared key, that the position rotates; even.
        value_dim: features of a head's values; null is ``head_dim``.
        scores: window, soft-cap, scale, dropout, sinks; scale null is ``(head_dim + rope_dim) ** -0.5``.
    Raises:
        Refused: if a size is not positive, or ``rope_dim`` odd.
    Source: DeepSeek-AI 2024 (DeepSeek-V2).
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "cross", "packed"})
    position_hooks: ClassVar[frozenset[str]] = frozenset({"rotate", "bias"})

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
        """``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        if self.query_down is not None and self.query_norm is not None:
            x = self.query_norm(self.query_down(x))
        q = self._split(self.query(x))
        q, rotated = q[..., : self.head_dim], position.rotate_queries(q[..., self.head_dim :], mask.query.position)
        latent = self.norm(self.down(memory))[:, None]
        shared = position.rotate_keys(self.shared_key(memory)[:, None], mask.key.position)
        if cache is None:
            mixed = self._expanded(q, rotated, latent, shared, mask, position)
        else:
            (latent, shared), mask = cache.extend((latent, shared), mask)
            mixed = self._absorbed(q, rotated, latent, shared, mask, position)
        merged: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return merged

    def _expanded(
        self, q: Tensor, rotated: Tensor, latent: Tensor, shared: Tensor, mask: Mask, position: Position
    ) -> Tensor:
        """Keys and values of every head are made from the latent ``[batch, 1, key, rank]``."""
        k, v = self._split(self.key(latent[:, 0])), self._split(self.value(latent[:, 0]))
        k = torch.cat([k, shared.expand(-1, self.heads, -1, -1)], dim=-1)
        return self._attend(torch.cat([q, rotated], dim=-1), k, v, q, mask, position)

    def _absorbed(
        self, q: Tensor, rotated: Tensor, latent: Tensor, shared: Tensor, mask: Mask, position: Position
    ) -> Tensor:
        """(q Wₖ) · latent = q · (Wₖ latent): one head of keys and values serves all queries."""
        key, value = (part.weight.view(self.heads, -1, latent.shape[-1]) for part in (self.key, self.value))
        carried, k = torch.cat([q @ key, rotated], dim=-1), torch.cat([latent, shared], dim=-1)
        return self._attend(carried, k, latent, q, mask, position) @ value.mT

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, asking: Tensor, mask: Mask, position: Position) -> Tensor:
        return attend(q, k, v, mask, position, self.scores, self.sinks, asking=asking, training=self.training)

    def _split(self, x: Tensor) -> Tensor:
        """``[batch, length, heads * width]`` to ``[batch, heads, length, width]``."""
        return x.view(*x.shape[:-1], self.heads, x.shape[-1] // self.heads).transpose(1, 2)

    def flops(self, mask: Mask) -> int:
        """Projections of both sides, scores and averages, as without a cache."""
        per_query = count_linear_flops(self.query) + count_linear_flops(self.output)
        per_query += 0 if self.query_down is None else count_linear_flops(self.query_down)
        per_key = sum(count_linear_flops(part) for part in (self.down, self.shared_key, self.key, self.value))
        pairs = mask.restrict_window(self.scores.window).count_pairs()
        products = 2 * self.heads * (self.head_dim + self.rope_dim + self.value_dim) * pairs
        return per_query * mask.query.length + per_key * mask.key.length + products

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Values and output; queries and keys only steer (DeepNorm)."""
        yield from (self.value.weight, self.output.weight)

    def create_cache(self, capacity: int) -> Cache:
        """Latent vectors and shared keys of up to ``capacity`` tokens, or of the window if that is less."""
        return Cache(capacity if self.scores.window is None else min(capacity, self.scores.window))
