"""Linear attention with the gated delta rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_divides, require_positive
from zoo.components.attention._chunk_flops import (
    count_pairs_within_chunks,
    count_recurrence_flops,
    count_tokens_after_first_chunk,
)
from zoo.components.attention._chunks import Chunks, make_unit_values
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.components.attention._precision import disable_autocast, upcast
from zoo.components.attention._recurrent import PackedRows, Recurrent, State
from zoo.components.attention._short_convolution import ShortConvolution
from zoo.components.attention._time_step import TimeStep
from zoo.model.capture import AttentionRecord, record_attention
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-6


@final
@register("attention", "gated_delta", paper="arXiv:2412.06464")
class GatedDelta(Recurrent):
    """Gated DeltaNet: linear attention whose state forgets by a gate, and whose writes replace the old value of a key.

    S_t = α_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ and y_t = S_tᵀ q_t, with decay α_t and write strength β_t in
    (0, 1). Queries, keys and values pass through a short convolution; queries and keys are normalized to unit length.
    The output of each head is RMS-normalized and multiplied by SiLU of a gate. Qwen3-Next has
    ``key_heads = heads / 2`` and ``expand = 1``.

    Args:
        dim: features per token.
        heads: number of heads of values, decays α and write strengths β.
        head_dim: features of the queries and keys of a head.
        norm: unused.
        expand: the values of a head have ``expand * head_dim`` features.
        key_heads: number of heads of queries and keys, each shared by ``heads / key_heads`` heads of values; divides
            ``heads``; null is ``heads``.
        kernel: kernel size of the convolution in tokens, the current one included.
    Raises:
        Refused: if ``expand`` or ``kernel`` is not positive, or ``key_heads`` does not divide ``heads``.
    Source: Yang et al. 2024.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        expand: int = 2,
        key_heads: int | None = None,
        kernel: int = 4,
    ) -> None:
        super().__init__()
        require_positive("expand", expand)
        self.heads, self.key_heads = heads, heads if key_heads is None else key_heads
        require_divides("key_heads", self.key_heads, "heads", heads)
        self.head_dim, self.value_dim = head_dim, expand * head_dim
        self.widths = [self.key_heads * head_dim, self.key_heads * head_dim, heads * self.value_dim]
        self.query, self.key, self.value = (nn.Linear(dim, width, bias=False) for width in self.widths)
        self.strength = nn.Linear(dim, heads, bias=False)
        self.decay = nn.Linear(dim, heads, bias=False)
        self.gate = nn.Linear(dim, heads * self.value_dim, bias=False)
        self.convolution = ShortConvolution(sum(self.widths), kernel, bias=False)
        self.step = TimeStep(heads)
        self.weight = nn.Parameter(torch.ones(self.value_dim))
        self.output = OutputLinear(heads * self.value_dim, dim, bias=False)

    def mix(self, x: Tensor, rows: PackedRows, position: Position, state: State) -> tuple[Tensor, State]:
        """Mixes tokens; the state is that of the convolution and S ``[batch, heads, head_dim, expand * head_dim]``."""
        recent, memory = state if state else (None, None)
        qkv = torch.cat([self.query(x), self.key(x), self.value(x)], dim=-1)
        qkv, recent = self.convolution(qkv, rows, recent)
        q, k, v = torch.split(upcast(qkv), self.widths, dim=-1)
        # q, k: [batch, key_heads, length, head_dim]; v: [batch, heads, length, value_dim]
        q, k = (_normalize(split_heads(part, self.key_heads)) for part in (q, k))
        strength = split_heads(upcast(self.strength(x)).sigmoid(), self.heads)  # [batch, heads, length, 1]
        _, log_decay = self.step(self.decay(x))  # [batch, heads, length, 1]
        q, v = q * self.head_dim**-0.5, split_heads(v, self.heads)
        chunks = Chunks(rows, self.chunk_size)
        record_attention(
            lambda: AttentionRecord(
                apply_gated_delta_rule(q, k, make_unit_values(k, self.heads), log_decay, strength, chunks, None)[0]
            )
        )
        y, memory = apply_gated_delta_rule(q, k, v, log_decay, strength, chunks, memory)
        y = F.rms_norm(y, y.shape[-1:], upcast(self.weight), EPS)
        y = merge_heads(y * F.silu(split_heads(upcast(self.gate(x)), self.heads)))
        return self.output(y.to(x.dtype)), (recent, memory)

    def flops(self, mask: Mask) -> int:
        """Counts the projections and the recurrence with its products of keys and two triangular systems per chunk."""
        length, size, key, value = mask.query.length, self.chunk_size, self.head_dim, self.value_dim
        later = count_tokens_after_first_chunk(length, size)
        below = count_pairs_within_chunks(length, size) - length  # entries below the diagonals of the systems
        systems = below * value + (count_pairs_within_chunks(later, size) - later) * key
        corrections = later * key * value  # what the state at the start of a chunk subtracts from its writes
        recurrence = count_recurrence_flops(length, size, self.key_heads, self.heads, key, value)
        further = 2 * (self.key_heads * below * key + self.heads * (systems + corrections))
        return super().flops(mask) + recurrence + further


def apply_gated_delta_rule(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, strength: Tensor, chunks: Chunks, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Computes S_t = α_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ and y_t = S_tᵀ q_t, chunk by chunk.

    Token i writes k_i u_iᵀ, where the value u_i depends on the writes of earlier tokens. Within a chunk with initial
    state S, and with the decay d_ij from token j to token i,

        u_i + β_i Σ_{j<i} d_ij (k_i · k_j) u_j = β_i (v_i - d_i0 Sᵀ k_i).

    This is a unit lower triangular system T u = β v - (β d k) S, linear in S. So T⁻¹ is applied to β v and to β d k for
    all chunks in parallel, and the loop over chunks is left with matrix products.

    Args:
        q: ``[batch, key heads, length, key width]``.
        k: ``[batch, key heads, length, key width]``.
        v: ``[batch, heads, length, value width]``.
        log_decay: log α, ``[batch, heads, length, 1]``.
        strength: β, ``[batch, heads, length, 1]``.
        chunks: division of the rows.
        state: S before the first token, ``[batch, heads, key width, value width]``; None is zero.
    Returns:
        y ``[batch, heads, length, value width]`` and S after the last token.
    Source: Yang et al. 2024.
    """
    with disable_autocast(v):
        repeats = v.shape[1] // k.shape[1]
        # From here on [batch, heads, chunks, size, width]. With strength zero, padding writes nothing.
        q, k, v, strength = chunks.split(q), chunks.split(k), chunks.split(v), chunks.split_masked(strength)
        sums = chunks.split_masked(log_decay).cumsum(dim=-2)
        decays = chunks.compute_decays(sums)  # d_ij, [batch, heads, chunks, size, size]
        # Products of a head of keys are computed once and repeated for the heads of values that share it.
        similarity, scores = ((a @ k.mT).repeat_interleave(repeats, dim=1) * decays for a in (k, q))
        q, k = q.repeat_interleave(repeats, dim=1), k.repeat_interleave(repeats, dim=1)
        # Decays from the start of a chunk to its tokens, and from them to its end, [batch, heads, chunks, size, 1].
        from_start, to_end = sums.exp() * chunks.reads_state, (sums[..., -1:, :] - sums).exp() * chunks.writes_state
        system = strength * similarity  # T; the solver takes its diagonal as ones and does not read it
        writes = torch.linalg.solve_triangular(system, strength * v, upper=False, unitriangular=True)
        corrections = torch.linalg.solve_triangular(system, strength * from_start * k, upper=False, unitriangular=True)
        kept = sums[..., -1:, :].exp() * chunks.keeps_state  # decay of a whole chunk, [batch, heads, chunks, 1, 1]
        current = v.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1]) if state is None else state
        q, k = q * from_start, (k * to_end).mT  # k is [batch, heads, chunks, key width, size]
        outputs = []
        for i in range(v.shape[2]):
            u = writes[:, :, i] - corrections[:, :, i] @ current  # [batch, heads, size, value width]
            outputs.append(q[:, :, i] @ current + scores[:, :, i] @ u)
            current = current * kept[:, :, i] + k[:, :, i] @ u
        return chunks.join(torch.stack(outputs, dim=2)), current


def _normalize(x: Tensor) -> Tensor:
    """Normalizes ``[…, width]`` to unit length over the last axis."""
    return x * torch.rsqrt(x.square().sum(dim=-1, keepdim=True) + EPS)
