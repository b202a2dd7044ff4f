"""Multi-scale retention."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.components.attention._chunk_flops import count_recurrence_flops
from zoo.components.attention._chunks import compute_recurrence, compute_weights
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.components.attention._precision import upcast
from zoo.components.attention._recurrent import PackedRows, Recurrent, State
from zoo.model.capture import AttentionRecord, record_attention
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

EPS = 1e-6


@final
@register("attention", "retention", paper="arXiv:2307.08621")
class Retention(Recurrent):
    """Multi-scale retention (RetNet): linear attention with a fixed exponential decay for each head.

    S_t = γ S_{t-1} + k_t v_tᵀ and y_t = S_tᵀ q_t, with γ = 1 - 2^(-5-h) in head h = 0, 1, …. The output of each head is
    layer-normalized and multiplied by SiLU of a gate. The paper uses the position ``xpos``.

    Args:
        dim: features per token.
        heads: number of heads.
        head_dim: features of the queries and keys of a head.
        norm: unused.
        expand: the values of a head have ``expand * head_dim`` features.
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

    def mix(self, x: Tensor, rows: PackedRows, position: Position, state: State) -> tuple[Tensor, State]:
        """Mixes tokens; the state is S ``[batch, heads, head_dim, expand * head_dim]``."""
        q, k, v = (split_heads(upcast(part(x)), self.heads) for part in (self.query, self.key, self.value))
        q = position.rotate_queries(q, rows.position)
        k = position.rotate_keys(k, rows.position) * self.head_dim**-0.5
        head = torch.arange(self.heads, device=x.device, dtype=v.dtype)
        log_decay = torch.log1p(-(2.0 ** (-5.0 - head)))[:, None, None].expand(1, -1, x.shape[1], 1)
        record_attention(lambda: AttentionRecord(compute_weights(q, k, log_decay, rows, self.chunk_size)))
        y, memory = compute_recurrence(q, k, v, log_decay, rows, self.chunk_size, state[0] if state else None)
        y = merge_heads(F.layer_norm(y, y.shape[-1:], eps=EPS)).to(x.dtype)
        return self.output(F.silu(self.gate(x)) * y), (memory,)

    def flops(self, mask: Mask) -> int:
        """Counts the projections and the recurrence."""
        length = mask.query.length
        recurrence = count_recurrence_flops(
            length, self.chunk_size, self.heads, self.heads, self.head_dim, self.value_dim
        )
        return super().flops(mask) + recurrence
