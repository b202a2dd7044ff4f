"""State space model Mamba-2."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_divides, require_positive
from zoo.components.attention._chunk_flops import count_recurrence_flops
from zoo.components.attention._chunks import compute_recurrence, compute_weights
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.components.attention._precision import upcast
from zoo.components.attention._recurrent import PackedRows, Recurrent, State
from zoo.components.attention._short_convolution import ShortConvolution
from zoo.components.attention._time_step import TimeStep
from zoo.model.capture import AttentionRecord, record_attention
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-5


@final
@register("attention", "mamba2", paper="arXiv:2405.21060")
class Mamba2(Recurrent):
    """Mamba-2: state space model with a data-dependent time step and scalar decay for each head.

    S_t = exp(-a Δ_t) S_{t-1} + Δ_t k_t v_tᵀ and y_t = S_tᵀ q_t + D v_t, with a time step Δ_t > 0 computed from token t.
    Queries, keys and values, which are C, B and x in the paper, pass through a short convolution. The output is
    multiplied by SiLU of a gate and RMS-normalized over the heads of each group. The inner width is
    ``expand * heads * head_dim``.

    Args:
        dim: features per token.
        heads: number of heads of values, time steps and decays.
        head_dim: with ``expand``, features of the values of a head.
        norm: unused.
        state: features of the queries and keys of a group.
        groups: number of heads of queries and keys, each shared by ``heads / groups`` heads of values; divides
            ``heads``.
        expand: the values of a head have ``expand * head_dim`` features.
        kernel: kernel size of the convolution in tokens, the current one included.
    Raises:
        Refused: if ``state``, ``expand`` or ``kernel`` is not positive, or ``groups`` does not divide ``heads``.
    Source: Dao and Gu 2024.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        state: int = 64,
        groups: int = 1,
        expand: int = 2,
        kernel: int = 4,
    ) -> None:
        super().__init__()
        require_positive("state", state)
        require_positive("expand", expand)
        require_divides("groups", groups, "heads", heads)
        self.heads, self.groups, self.state, self.value_dim = heads, groups, state, expand * head_dim
        inner = heads * self.value_dim
        self.widths = [inner, groups * state, groups * state]
        self.value, self.key, self.query = (nn.Linear(dim, width, bias=False) for width in self.widths)
        self.gate = nn.Linear(dim, inner, bias=False)
        self.decay = nn.Linear(dim, heads, bias=False)
        self.convolution = ShortConvolution(sum(self.widths), kernel, bias=True)
        self.step = TimeStep(heads)
        self.skip = nn.Parameter(torch.ones(heads))
        self.weight = nn.Parameter(torch.ones(inner))
        self.output = OutputLinear(inner, dim, bias=False)

    def mix(self, x: Tensor, rows: PackedRows, position: Position, state: State) -> tuple[Tensor, State]:
        """Mixes tokens; the state is that of the convolution and S ``[batch, heads, state, expand * head_dim]``."""
        recent, memory = state if state else (None, None)
        vkq = torch.cat([self.value(x), self.key(x), self.query(x)], dim=-1)
        vkq, recent = self.convolution(vkq, rows, recent)
        v, k, q = torch.split(upcast(vkq), self.widths, dim=-1)
        # v: [batch, heads, length, value_dim]; k, q: [batch, groups, length, state]
        v, k, q = split_heads(v, self.heads), split_heads(k, self.groups), split_heads(q, self.groups)
        step, log_decay = self.step(self.decay(x))  # each [batch, heads, length, 1]
        record_attention(lambda: self._record_weights(compute_weights(q, k, log_decay, rows, self.chunk_size), step))
        y, memory = compute_recurrence(q, k, v * step, log_decay, rows, self.chunk_size, memory)
        y = merge_heads(y + v * upcast(self.skip)[:, None, None]) * F.silu(upcast(self.gate(x)))
        y = torch.unflatten(y, -1, (self.groups, -1))  # [batch, length, groups, heads / groups * value_dim]
        y = F.rms_norm(y, y.shape[-1:], eps=EPS).flatten(-2) * self.weight
        return self.output(y.to(x.dtype)), (recent, memory)

    def _record_weights(self, weights: Tensor, step: Tensor) -> AttentionRecord:
        """Returns Δ_s w_ts, plus D where s is t, from the weights w of the recurrence; all ``[…, length, length]``."""
        own = torch.eye(weights.shape[-1], device=weights.device) * upcast(self.skip)[:, None, None]
        return AttentionRecord(weights * step.mT + own)

    def flops(self, mask: Mask) -> int:
        """Counts the projections and the recurrence."""
        length = mask.query.length
        recurrence = count_recurrence_flops(
            length, self.chunk_size, self.groups, self.heads, self.state, self.value_dim
        )
        return super().flops(mask) + recurrence
