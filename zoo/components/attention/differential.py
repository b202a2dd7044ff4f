"""Differential attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require, require_between
from zoo.model.attend import Scores, attend
from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.parameter_roles import Role
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-5


@final
@register("attention", "differential", paper="arXiv:2410.05258")
class DifferentialAttention(Attention):
    """(softmax(q₁ k₁ᵀ) - λ softmax(q₂ k₂ᵀ)) v: heads 2i and 2i + 1 form a pair, whose values are twice as wide.

    λ = exp(a₁·b₁) - exp(a₂·b₂) + lambda_init with learned vectors. The output of a pair is brought to root mean square
    1 - lambda_init. The matrices are those of multi-head attention with as many heads.

    Args:
        dim: features per token.
        heads: heads, two for each difference; even.
        head_dim: features per head; heads * head_dim need not be dim.
        norm: not used; outputs have RMS norms without weights.
        lambda_init: where λ begins. In the paper 0.8 - 0.6 exp(-0.3 l) in layer l = 0, 1, …: 0.2 in the first layer,
            near 0.8 in deep ones.
        scores: window, soft-cap, scale, dropout, sinks, of both softmaxes.
    Raises:
        Refused: if ``heads`` is odd, or ``lambda_init`` not between 0 and 0.99.
    Source: Ye et al. 2024.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "cross", "packed"})
    position_hooks: ClassVar[frozenset[str]] = frozenset({"rotate", "bias"})

    roles: ClassVar[Mapping[str, Role]] = {"lambda_query": "vector", "lambda_key": "vector"}  # two each, stacked

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        lambda_init: float = 0.8,
        scores: Scores = Scores(),
    ) -> None:
        super().__init__()
        require(heads % 2 == 0, f"heads must be even, two for each difference: got heads={heads}")
        require_between("lambda_init", lambda_init, 0.0, 0.99)
        self.heads, self.head_dim, self.lambda_init, self.scores = heads, head_dim, lambda_init, scores
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.key = nn.Linear(dim, heads * head_dim, bias=False)
        self.value = nn.Linear(dim, heads * head_dim, bias=False)
        self.output = OutputLinear(heads * head_dim, dim, bias=False)
        self.lambda_query = nn.Parameter(0.1 * torch.randn(2, head_dim))
        self.lambda_key = nn.Parameter(0.1 * torch.randn(2, head_dim))
        self.sinks = nn.Parameter(torch.zeros(heads)) if scores.sinks else None

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        q, k = (self._split(part, self.heads) for part in (self.query(x), self.key(memory)))
        v = self._split(self.value(memory), self.heads // 2)
        q = position.rotate_queries(q, mask.query.position)
        k = position.rotate_keys(k, mask.key.position)
        if cache is not None:
            (k, v), mask = cache.extend((k, v), mask)
        both = v.repeat_interleave(2, dim=1)
        mixed = attend(q, k, both, mask, position, self.scores, self.sinks, training=self.training)
        difference = mixed[:, 0::2] - self._lambda() * mixed[:, 1::2]
        pairs = (1 - self.lambda_init) * F.rms_norm(difference, difference.shape[-1:], eps=EPS)
        merged: Tensor = self.output(pairs.transpose(1, 2).flatten(2))
        return merged

    def _lambda(self) -> Tensor:
        both = (self.lambda_query * self.lambda_key).sum(dim=-1).exp()
        return both[0] - both[1] + self.lambda_init

    @staticmethod
    def _split(x: Tensor, heads: int) -> Tensor:
        """``[batch, length, heads * width]`` to ``[batch, heads, length, width]``."""
        return x.view(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(1, 2)

    def flops(self, mask: Mask) -> int:
        """Projections of both sides, scores, and averages of values twice as wide."""
        per_query = count_linear_flops(self.query) + count_linear_flops(self.output)
        per_key = count_linear_flops(self.key) + count_linear_flops(self.value)
        products = 6 * self.heads * self.head_dim * mask.restrict_window(self.scores.window).count_pairs()
        return per_query * mask.query.length + per_key * mask.key.length + products

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Values and output; queries and keys only steer (DeepNorm)."""
        yield from (self.value.weight, self.output.weight)

    def create_cache(self, capacity: int) -> Cache:
        """Keys and values of up to ``capacity`` tokens, or of the window if that is less."""
        return Cache(capacity if self.scores.window is None else min(capacity, self.scores.window))
