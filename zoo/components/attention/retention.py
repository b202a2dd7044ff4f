"""Retention."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.components.attention._chunked import decayed, decayed_flops
from zoo.components.attention._recurrent import PackedRow, Recurrent, State, merge_heads, split_heads, wide
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-6


@final
@register("attention", "retention", paper="arXiv:2307.08621")
class Retention(Recurrent):
    """S_t = γ S_{t-1} + k_t v_tᵀ, y_t = S_tᵀ q_t; head h forgets with γ = 1 - 2^(-5-h), whatever it reads.

    Each head's output is normalized over its features and multiplied by silu of a gate. The paper has positions xPos.

    Args:
        dim: features per token.
        heads: heads.
        head_dim: features of a head's queries and keys.
        norm: not used.
        expand: a head's values have ``expand * head_dim`` features.
    Raises:
        Refused: if ``expand`` is not positive.
    Source: Sun et al. 2023.
    """

    position_hooks: ClassVar[frozenset[str]] = frozenset({"rotate"})

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm], *, expand: int = 2) -> None:
        super().__init__()
        require_positive("expand", expand)
        self.heads, self.head_dim, self.value_dim = heads, head_dim, expand * head_dim
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.key = nn.Linear(dim, heads * head_dim, bias=False)
        self.value = nn.Linear(dim, heads * self.value_dim, bias=False)
        self.gate = nn.Linear(dim, heads * self.value_dim, bias=False)
        self.output = OutputLinear(heads * self.value_dim, dim, bias=False)

    def mix(self, x: Tensor, row: PackedRow, position: Position, state: State) -> tuple[Tensor, State]:
        """The state is S, ``[batch, heads, head_dim, expand * head_dim]``."""
        q, k, v = (split_heads(wide(part(x)), self.heads) for part in (self.query, self.key, self.value))
        q = position.rotate_queries(q, row.position)
        k = position.rotate_keys(k, row.position) * self.head_dim**-0.5
        head = torch.arange(self.heads, device=x.device, dtype=v.dtype)
        log_decay = torch.log1p(-(2.0 ** (-5.0 - head)))[:, None, None].expand(1, -1, x.shape[1], 1)
        y, memory = decayed(q, k, v, log_decay, row, self.chunk, state[0] if state else None)
        y = merge_heads(F.layer_norm(y, y.shape[-1:], eps=EPS)).to(x.dtype)
        return self.output(F.silu(self.gate(x)) * y), (memory,)

    def flops(self, mask: Mask) -> int:
        """Projections and the recurrence."""
        length = mask.query.length
        mixing = decayed_flops(length, self.chunk, self.heads, self.heads, self.head_dim, self.value_dim)
        return super().flops(mask) + mixing
