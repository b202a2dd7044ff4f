"""The gated delta rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_divides, require_positive
from zoo.components.attention._chunked import Chunks, decayed_flops, pairs_within, tokens_after_first
from zoo.components.attention._recurrent import (
    PackedRow,
    Recurrent,
    State,
    TimeStep,
    full_precision,
    merge_heads,
    split_heads,
    wide,
)
from zoo.components.attention._short_convolution import ShortConvolution
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-6


@final
@register("attention", "gated_delta", paper="arXiv:2412.06464")
class GatedDelta(Recurrent):
    """S_t = α_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ, y_t = S_tᵀ q_t: a write replaces what k_t recalled.

    Queries, keys and values pass a short convolution; queries and keys have length one. Each head's output is divided
    by its root mean square and multiplied by silu of a gate. Qwen3-Next has ``key_heads = heads / 2``, ``expand = 1``.

    Args:
        dim: features per token.
        heads: heads of values, decay α and write strength β.
        head_dim: features of a head's queries and keys.
        norm: not used.
        expand: a head's values have ``expand * head_dim`` features.
        key_heads: heads of queries and keys, shared by equally many heads; divides ``heads``; null is ``heads``.
        kernel: tokens that the convolution reaches, the token itself included.
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

    def mix(self, x: Tensor, row: PackedRow, position: Position, state: State) -> tuple[Tensor, State]:
        """The state is what the convolution reaches, and S ``[batch, heads, head_dim, expand * head_dim]``."""
        before, memory = state if state else (None, None)
        qkv = torch.cat([self.query(x), self.key(x), self.value(x)], dim=-1)
        qkv, before = self.convolution(qkv, row, before)
        q, k, v = torch.split(wide(qkv), self.widths, dim=-1)
        q, k = (_unit(split_heads(part, self.key_heads)) for part in (q, k))
        strength = split_heads(wide(self.strength(x)).sigmoid(), self.heads)
        _, log_decay = self.step(self.decay(x))
        q, v = q * self.head_dim**-0.5, split_heads(v, self.heads)
        y, memory = gated_delta_rule(q, k, v, log_decay, strength, Chunks(row, self.chunk), memory)
        y = F.rms_norm(y, y.shape[-1:], wide(self.weight), EPS)
        y = merge_heads(y * F.silu(split_heads(wide(self.gate(x)), self.heads)))
        return self.output(y.to(x.dtype)), (before, memory)

    def flops(self, mask: Mask) -> int:
        """Projections and the recurrence, the likeness of keys and two triangular systems a chunk among it."""
        length, size, key, value = mask.query.length, self.chunk, self.head_dim, self.value_dim
        later = tokens_after_first(length, size)
        below = pairs_within(length, size) - length  # pairs of different tokens: the entries of a system
        systems = below * value + (pairs_within(later, size) - later) * key
        changes = later * key * value  # what the state at the chunk's begin takes off what is written
        mixing = decayed_flops(length, size, self.key_heads, self.heads, key, value)
        return super().flops(mask) + mixing + 2 * (self.key_heads * below * key + self.heads * (systems + changes))


def gated_delta_rule(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, strength: Tensor, chunks: Chunks, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """S_t = α_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ and y_t = S_tᵀ q_t.

    In a chunk, what each token writes depends on what those before it wrote: a triangular system. It is linear in the
    state at the chunk's begin, so it is solved for all chunks before the states are known.

    Args:
        q: ``[batch, key heads, length, key width]``.
        k: as ``q``.
        v: ``[batch, heads, length, value width]``.
        log_decay: log α, ``[batch, heads, length, 1]``.
        strength: β, ``[batch, heads, length, 1]``.
        chunks: how rows are cut.
        state: S ``[batch, heads, key width, value width]``; None is zero.
    Returns:
        y, of the shape of ``v``, and the new state.
    """
    with full_precision(v):
        sharing = v.shape[1] // k.shape[1]
        q, k, v, strength = chunks.cut(q), chunks.cut(k), chunks.cut(v), chunks.cut_real(strength)
        total = chunks.cut_real(log_decay).cumsum(dim=-2)
        decay = chunks.between(total)
        likeness, scores = ((a @ k.mT).repeat_interleave(sharing, dim=1) * decay for a in (k, q))
        q, k = q.repeat_interleave(sharing, dim=1), k.repeat_interleave(sharing, dim=1)
        since, until = total.exp() * chunks.begin, (total[..., -1:, :] - total).exp() * chunks.end
        system = strength * likeness  # its diagonal is not read: it stands for ones
        written = torch.linalg.solve_triangular(system, strength * v, upper=False, unitriangular=True)
        recalled = torch.linalg.solve_triangular(system, strength * since * k, upper=False, unitriangular=True)
        keep = total[..., -1:, :].exp() * chunks.whole
        now = v.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1]) if state is None else state
        q, k = q * since, (k * until).mT
        parts = []
        for i in range(v.shape[2]):
            change = written[:, :, i] - recalled[:, :, i] @ now
            parts.append(q[:, :, i] @ now + scores[:, :, i] @ change)
            now = now * keep[:, :, i] + k[:, :, i] @ change
        return chunks.join(torch.stack(parts, dim=2)), now


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(dim=-1, keepdim=True) + EPS)
