"""Mamba-2."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_divides, require_positive
from zoo.components.attention._chunked import decayed, decayed_flops
from zoo.components.attention._recurrent import PackedRow, Recurrent, State, TimeStep, merge_heads, split_heads, wide
from zoo.components.attention._short_convolution import ShortConvolution
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-5


@final
@register("attention", "mamba2", paper="arXiv:2405.21060")
class Mamba2(Recurrent):
    """S_t = exp(-a Δ_t) S_{t-1} + Δ_t k_t v_tᵀ, y_t = S_tᵀ q_t + D v_t; the step Δ_t > 0 depends on the token.

    The paper's C, B and x are queries, keys and values here; they pass a short convolution. The output is multiplied
    by silu of a gate and divided by its root mean square, over the heads of each group. The inner width is
    ``expand * heads * head_dim``.

    Args:
        dim: features per token.
        heads: heads of values, steps and decays.
        head_dim: with ``expand``, features of a head's values.
        norm: not used.
        state: features of queries and keys.
        groups: heads of queries and keys, shared by equally many heads; divides ``heads``.
        expand: a head's values have ``expand * head_dim`` features.
        kernel: tokens that the convolution reaches, the token itself included.
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

    def mix(self, x: Tensor, row: PackedRow, position: Position, state: State) -> tuple[Tensor, State]:
        """The state is what the convolution reaches, and S ``[batch, heads, state, expand * head_dim]``."""
        before, memory = state if state else (None, None)
        vkq = torch.cat([self.value(x), self.key(x), self.query(x)], dim=-1)
        vkq, before = self.convolution(vkq, row, before)
        v, k, q = torch.split(wide(vkq), self.widths, dim=-1)
        v, k, q = split_heads(v, self.heads), split_heads(k, self.groups), split_heads(q, self.groups)
        step, log_decay = self.step(self.decay(x))
        y, memory = decayed(q, k, v * step, log_decay, row, self.chunk, memory)
        y = merge_heads(y + v * wide(self.skip)[:, None, None]) * F.silu(wide(self.gate(x)))
        y = torch.unflatten(y, -1, (self.groups, -1))
        y = F.rms_norm(y, y.shape[-1:], eps=EPS).flatten(-2) * self.weight
        return self.output(y.to(x.dtype)), (before, memory)

    def flops(self, mask: Mask) -> int:
        """Projections and the recurrence."""
        length = mask.query.length
        mixing = decayed_flops(length, self.chunk, self.groups, self.heads, self.state, self.value_dim)
        return super().flops(mask) + mixing
