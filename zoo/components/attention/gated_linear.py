"""Gated linear attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.components.attention._chunked import Chunks, carried, decayed_flops
from zoo.components.attention._recurrent import (
    PackedRow,
    Recurrent,
    State,
    full_precision,
    merge_heads,
    split_heads,
    wide,
)
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-6
TEMPERATURE = 16.0


@final
@register("attention", "gated_linear", paper="arXiv:2312.06635")
class GatedLinearAttention(Recurrent):
    """S_t = diag(α_t) S_{t-1} + k_t v_tᵀ, y_t = S_tᵀ q_t; α_t = sigmoid(W₂ W₁ x_t + b)^(1/16) for each feature.

    Each head's output is normalized over its features and multiplied by silu of a gate. In the paper keys have half as
    many features as the model, and values all.

    Args:
        dim: features per token.
        heads: heads.
        head_dim: features of a head's queries and keys.
        norm: not used.
        expand: a head's values have ``expand * head_dim`` features.
        rank: features between W₁ and W₂.
    Raises:
        Refused: if ``expand`` or ``rank`` is not positive.
    Source: Yang et al. 2023.
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm], *, expand: int = 2, rank: int = 16
    ) -> None:
        super().__init__()
        require_positive("expand", expand)
        require_positive("rank", rank)
        self.heads, self.head_dim, self.value_dim = heads, head_dim, expand * head_dim
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.key = nn.Linear(dim, heads * head_dim, bias=False)
        self.value = nn.Linear(dim, heads * self.value_dim, bias=False)
        self.decay = nn.Sequential(nn.Linear(dim, rank, bias=False), nn.Linear(rank, heads * head_dim))
        self.gate = nn.Linear(dim, heads * self.value_dim)
        self.output = OutputLinear(heads * self.value_dim, dim, bias=False)

    def mix(self, x: Tensor, row: PackedRow, position: Position, state: State) -> tuple[Tensor, State]:
        """The state is S, ``[batch, heads, head_dim, expand * head_dim]``."""
        q, k, v, logit = (
            split_heads(wide(part(x)), self.heads) for part in (self.query, self.key, self.value, self.decay)
        )
        with full_precision(x):
            chunks = Chunks(row, self.chunk)
            q, k, v = chunks.cut(q * self.head_dim**-0.5), chunks.cut_real(k), chunks.cut(v)
            total = chunks.cut_real(F.logsigmoid(logit) / TEMPERATURE).cumsum(dim=-2)
            remembered, memory = carried(q, k, v, total, chunks, state[0] if state else None)
            y = chunks.join(_within(q, k, v, total, chunks.document) + remembered)
        y = merge_heads(F.layer_norm(y, y.shape[-1:], eps=EPS)).to(x.dtype)
        return self.output(F.silu(self.gate(x)) * y), (memory,)

    def flops(self, mask: Mask) -> int:
        """Projections and the recurrence."""
        length = mask.query.length
        mixing = decayed_flops(length, self.chunk, self.heads, self.heads, self.head_dim, self.value_dim)
        return super().flops(mask) + mixing


def _within(q: Tensor, k: Tensor, v: Tensor, total: Tensor, document: Tensor) -> Tensor:
    """What tokens take from their own chunk, by halves: the second half of a span looks at the first, then each half.

    Decays are split where the halves meet, exp(total_i - total_j) = exp(total_i - middle) exp(middle - total_j), so
    both factors are at most one, and each is a factor of a query or of a key alone.

    Args:
        q: ``[batch, heads, chunks, size, key width]``.
        k: as ``q``.
        v: ``[batch, heads, chunks, size, value width]``.
        total: running sums of log decays, as ``q``.
        document: ``[batch, 1, chunks, size]``.
    """
    size = q.shape[-2]
    y = (q * k).sum(dim=-1, keepdim=True) * v
    half = size // 2
    while half:
        spans = (-1, 2, half)
        q2, total2 = (torch.unflatten(x, -2, spans)[..., 1, :, :] for x in (q, total))
        k1, total1, v1 = (torch.unflatten(x, -2, spans)[..., 0, :, :] for x in (k, total, v))
        document1, document2 = torch.unflatten(document, -1, spans).unbind(-2)
        middle = total1[..., -1:, :]
        scores = (q2 * (total2 - middle).exp()) @ (k1 * (middle - total1).exp()).mT
        taken = (scores * (document2[..., :, None] == document1[..., None, :])) @ v1
        y = y + torch.stack([torch.zeros_like(taken), taken], dim=-3).flatten(-4, -2)
        half //= 2
    return y
