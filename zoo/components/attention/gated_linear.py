"""Gated linear attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.components.attention._chunk_flops import count_recurrence_flops
from zoo.components.attention._chunks import Chunks, make_unit_values, scan_chunks
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.components.attention._precision import disable_autocast, upcast
from zoo.components.attention._recurrent import PackedRows, Recurrent, State
from zoo.model.capture import AttentionRecord, record_attention
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-6
TEMPERATURE = 16.0
"""Divides the log decay, so that states decay slowly at first (the paper's τ)."""


@final
@register("attention", "gated_linear", paper="arXiv:2312.06635")
class GatedLinearAttention(Recurrent):
    """Gated linear attention (GLA): linear attention with a data-dependent decay for each feature of the keys.

    S_t = diag(α_t) S_{t-1} + k_t v_tᵀ and y_t = S_tᵀ q_t, with α_t = sigmoid(W₂ W₁ x_t + b)^(1/16). The output of each
    head is layer-normalized and multiplied by SiLU of a gate. In the paper, the keys of all heads together have
    half as many features as the model, and the values as many.

    Args:
        dim: features per token.
        heads: number of heads.
        head_dim: features of the queries and keys of a head.
        norm: unused.
        expand: the values of a head have ``expand * head_dim`` features.
        rank: rank of W₂ W₁.
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

    def mix(self, x: Tensor, rows: PackedRows, position: Position, state: State) -> tuple[Tensor, State]:
        """Mixes tokens; the state is S ``[batch, heads, head_dim, expand * head_dim]``."""
        # Each [batch, heads, length, width]; logits have the width of keys.
        q, k, v, logits = (
            split_heads(upcast(part(x)), self.heads) for part in (self.query, self.key, self.value, self.decay)
        )
        q, chunks = q * self.head_dim**-0.5, Chunks(rows, self.chunk_size)
        record_attention(
            lambda: AttentionRecord(
                _apply_gated_recurrence(q, k, make_unit_values(k, self.heads), logits, chunks, None)[0]
            )
        )
        y, memory = _apply_gated_recurrence(q, k, v, logits, chunks, state[0] if state else None)
        y = merge_heads(F.layer_norm(y, y.shape[-1:], eps=EPS)).to(x.dtype)
        return self.output(F.silu(self.gate(x)) * y), (memory,)

    def flops(self, mask: Mask) -> int:
        """Counts the projections and the recurrence."""
        length = mask.query.length
        recurrence = count_recurrence_flops(
            length, self.chunk_size, self.heads, self.heads, self.head_dim, self.value_dim
        )
        return super().flops(mask) + recurrence


def _apply_gated_recurrence(
    q: Tensor, k: Tensor, v: Tensor, logits: Tensor, chunks: Chunks, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Computes S_t = diag(α_t) S_{t-1} + k_t v_tᵀ and y_t = S_tᵀ q_t, with α = sigmoid(logits)^(1/16).

    Args:
        q: ``[batch, heads, length, key width]``.
        k: ``[batch, heads, length, key width]``.
        v: ``[batch, heads, length, value width]``.
        logits: ``[batch, heads, length, key width]``.
        chunks: division of the rows.
        state: S before the first token, ``[batch, heads, key width, value width]``; None is zero.
    Returns:
        y ``[batch, heads, length, value width]`` and S after the last token.
    """
    with disable_autocast(v):
        # From here on [batch, heads, chunks, size, width].
        q, k, v = chunks.split(q), chunks.split_masked(k), chunks.split(v)
        sums = chunks.split_masked(F.logsigmoid(logits) / TEMPERATURE).cumsum(dim=-2)
        recalled, state = scan_chunks(q, k, v, sums, chunks, state)
        return chunks.join(_attend_within_chunks(q, k, v, sums, chunks.document) + recalled), state


def _attend_within_chunks(q: Tensor, k: Tensor, v: Tensor, sums: Tensor, document: Tensor) -> Tensor:
    """Computes what tokens read from their own chunk, recursively by halves.

    In a span of tokens, the second half attends to the first; then each half is such a span. The decay from token j to
    token i is factored at the border between the halves, exp(sums_i - sums_j) = exp(sums_i - border)
    exp(border - sums_j). So one factor belongs to the query and one to the key, scores are a matrix product, and no
    exponential exceeds one.

    Args:
        q: ``[batch, heads, chunks, size, key width]``.
        k: ``[batch, heads, chunks, size, key width]``.
        v: ``[batch, heads, chunks, size, value width]``.
        sums: cumulative sums of log decays within chunks, ``[batch, heads, chunks, size, key width]``.
        document: document of each token, ``[batch, 1, chunks, size]``.
    Returns:
        ``[batch, heads, chunks, size, value width]``.
    """
    size = q.shape[-2]
    y = (q * k).sum(dim=-1, keepdim=True) * v  # each token reads itself, without decay
    half = size // 2
    while half:
        halves = (-1, 2, half)
        # size -> [spans, 2, half]: index 1 is the second half of each span, [batch, heads, chunks, spans, half, width].
        q2, sums2 = (torch.unflatten(x, -2, halves)[..., 1, :, :] for x in (q, sums))
        k1, sums1, v1 = (torch.unflatten(x, -2, halves)[..., 0, :, :] for x in (k, sums, v))
        document1, document2 = torch.unflatten(document, -1, halves).unbind(-2)  # [batch, 1, chunks, spans, half]
        border = sums1[..., -1:, :]
        scores = (q2 * (sums2 - border).exp()) @ (k1 * (border - sums1).exp()).mT  # […, spans, half, half]
        second = (scores * (document2[..., :, None] == document1[..., None, :])) @ v1
        # First halves read nothing here: [spans, 2, half, width] -> [size, width].
        y = y + torch.stack([torch.zeros_like(second), second], dim=-3).flatten(-4, -2)
        half //= 2
    return y
