"""Differential attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require, require_between
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.components.attention._softmax import SoftmaxAttention
from zoo.model.attend import Scores, attend
from zoo.model.cache import Cache
from zoo.model.interfaces import Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.parameter_roles import Role
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-5


@final
@register("attention", "differential", paper="arXiv:2410.05258")
class DifferentialAttention(SoftmaxAttention):
    """Differential attention: weights are the difference of two softmaxes, (softmax(q₁ k₁ᵀ) - λ softmax(q₂ k₂ᵀ)) v.

    Heads 2i and 2i + 1 form a pair, which shares values of twice the width. λ = exp(a₁ · b₁) - exp(a₂ · b₂) +
    lambda_init with learned vectors a and b. The output of each pair is RMS-normalized and multiplied by
    1 - lambda_init. The projections have the shapes of multi-head attention with as many heads.

    Args:
        dim: features per token.
        heads: number of heads, two for each difference; even.
        head_dim: features per head; ``heads * head_dim`` may differ from ``dim``.
        norm: unused; the RMS norms of the outputs have no weights.
        lambda_init: initial value of λ. In the paper it is 0.8 - 0.6 exp(-0.3 l) in layer l = 0, 1, …: 0.2 in the
            first layer and close to 0.8 in deep ones.
        scores: window, soft-cap, scale, dropout and sinks of both softmaxes.
    Raises:
        Refused: if ``heads`` is odd, or ``lambda_init`` is not between 0 and 0.99.
    Source: Ye et al. 2024.
    """

    roles: ClassVar[Mapping[str, Role]] = {"lambda_query": "vector", "lambda_key": "vector"}  # each holds two vectors

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
        require(heads % 2 == 0, f"heads must be even, since each difference takes two: got heads={heads}")
        require_between("lambda_init", lambda_init, 0.0, 0.99)
        self.heads, self.head_dim, self.lambda_init, self.scores = heads, head_dim, lambda_init, scores
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.key = nn.Linear(dim, heads * head_dim, bias=False)
        self.value = nn.Linear(dim, heads * head_dim, bias=False)
        self.output = OutputLinear(heads * head_dim, dim, bias=False)
        self.lambda_query = nn.Parameter(0.1 * torch.randn(2, head_dim))
        self.lambda_key = nn.Parameter(0.1 * torch.randn(2, head_dim))
        self.sinks = nn.Parameter(torch.zeros(heads)) if scores.sinks else None

    @property
    def output_heads(self) -> int:
        """Number of pairs of query heads, which share values."""
        return self.heads // 2

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        q, k = split_heads(self.query(x), self.heads), split_heads(self.key(memory), self.heads)
        v = split_heads(self.value(memory), self.heads // 2)  # [batch, heads / 2, key, 2 * head_dim]
        q = position.rotate_queries(q, mask.query.position)
        k = position.rotate_keys(k, mask.key.position)
        if cache is not None:
            (k, v), mask = cache.extend((k, v), mask)
        v = v.repeat_interleave(2, dim=1)  # both heads of a pair average the same values
        mixed = attend(q, k, v, mask, position, self.scores, self.sinks, training=self.training)
        difference = mixed[:, 0::2] - self._compute_lambda() * mixed[:, 1::2]  # [batch, heads / 2, query, 2 * head_dim]
        normalized = (1 - self.lambda_init) * F.rms_norm(difference, difference.shape[-1:], eps=EPS)
        output: Tensor = self.output(merge_heads(normalized))
        return output

    def _compute_lambda(self) -> Tensor:
        """Computes λ, a scalar."""
        terms = (self.lambda_query * self.lambda_key).sum(dim=-1).exp()  # [2]
        return terms[0] - terms[1] + self.lambda_init

    def flops(self, mask: Mask) -> int:
        """Counts the projections of both sides, the scores, and the averages of values twice as wide."""
        per_query = count_linear_flops(self.query) + count_linear_flops(self.output)
        per_key = count_linear_flops(self.key) + count_linear_flops(self.value)
        products = 6 * self.heads * self.head_dim * mask.restrict_window(self.scores.window).count_pairs()
        return per_query * mask.query.length + per_key * mask.key.length + products
