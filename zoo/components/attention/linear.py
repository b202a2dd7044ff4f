"""Linear attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.components.attention._chunk_flops import count_recurrence_flops
from zoo.components.attention._chunks import compute_recurrence, compute_weights, make_unit_values
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.components.attention._precision import disable_autocast, upcast
from zoo.components.attention._recurrent import PackedRows, Recurrent, State
from zoo.model.cache import Cache
from zoo.model.capture import AttentionRecord, record_attention
from zoo.model.interfaces import Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

Features = Literal["elu_plus_one", "relu", "softmax"]
EPS = 1e-6


@final
@register("attention", "linear", paper="arXiv:2006.16236")
class LinearAttention(Recurrent):
    """Linear attention: replaces the softmax by a product of feature maps, so that a fixed-size state suffices.

    y_i = Σ_j φ(q_i)ᵀφ(k_j) v_j / Σ_j φ(q_i)ᵀφ(k_j); the sums over j are the state. A position rotates features in the
    numerator only, so that the denominator stays positive (Su et al. 2021). With a prefix, or with packed rows in
    bidirectional attention, the matrix of all weights is computed, and the cache holds keys and values.

    Args:
        dim: features per token.
        heads: number of heads.
        head_dim: features per head.
        norm: unused.
        features: feature map φ: elu(x) + 1, relu(x), or softmax over the features (Shen et al. 2018).
        normalize: if true, divides by the denominator.
    Source: Katharopoulos et al. 2020.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "cross", "packed"})
    position_hooks: ClassVar[frozenset[str]] = frozenset({"rotate"})

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        features: Features = "elu_plus_one",
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self.heads, self.head_dim, self.normalize = heads, head_dim, normalize
        self.features = features
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.key = nn.Linear(dim, heads * head_dim, bias=False)
        self.value = nn.Linear(dim, heads * head_dim, bias=False)
        self.output = OutputLinear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        if mask.causal and mask.prefix is None:
            return super().forward(x, memory, mask, position, cache)
        q, k, v = self._project(x, memory)  # each [batch, heads, query or key, head_dim]
        rotated_k = position.rotate_keys(k, mask.key.position)
        if cache is not None:
            unrotated = () if rotated_k is k else (k,)  # without rotation, numerator and denominator share the keys
            (rotated_k, v, *rest), mask = cache.extend((rotated_k, v, *unrotated), mask)
            k = rest[0] if rest else rotated_k
        rotated_q = position.rotate_queries(q, mask.query.position)
        with disable_autocast(x):
            sums = _sum_values(q, k, torch.ones_like(v[..., :1]), mask) + EPS if self.normalize else 1.0
            record_attention(
                lambda: AttentionRecord(_sum_values(rotated_q, rotated_k, make_unit_values(k, self.heads), mask) / sums)
            )
            y = _sum_values(rotated_q, rotated_k, v, mask) / sums
        out: Tensor = self.output(merge_heads(y).to(x.dtype))
        return out

    def mix(self, x: Tensor, rows: PackedRows, position: Position, state: State) -> tuple[Tensor, State]:
        """Mixes tokens in causal attention.

        The state is Σ φ(k) vᵀ with rotated φ(k), ``[batch, heads, head_dim, head_dim]``, and Σ φ(k) of the denominator,
        ``[batch, heads, head_dim, 1]``.
        """
        q, k, v = self._project(x, x)
        log_decay = torch.zeros_like(v[:1, ..., :1])  # no decay, [1, heads, length, 1]
        rotated_q, rotated_k = position.rotate_queries(q, rows.position), position.rotate_keys(k, rows.position)
        previous = state[0] if state else None
        y, numerator = compute_recurrence(rotated_q, rotated_k, v, log_decay, rows, self.chunk_size, previous)
        sums: Tensor | float = 1.0
        states: State = (numerator,)
        if self.normalize:
            ones = torch.ones_like(v[..., :1])  # values of the denominator
            previous = state[1] if state else None
            weight, denominator = compute_recurrence(q, k, ones, log_decay, rows, self.chunk_size, previous)
            sums, states = weight + EPS, (numerator, denominator)
        record_attention(
            lambda: AttentionRecord(compute_weights(rotated_q, rotated_k, log_decay, rows, self.chunk_size) / sums)
        )
        return self.output(merge_heads(y / sums).to(x.dtype)), states

    def _project(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns φ(q), φ(k) and v, each ``[batch, heads, query or key, head_dim]``."""
        q, k, v = (
            split_heads(upcast(part(y)), self.heads)
            for part, y in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        return self._apply_feature_map(q), self._apply_feature_map(k), v

    def _apply_feature_map(self, x: Tensor) -> Tensor:
        if self.features == "softmax":
            return x.softmax(dim=-1)
        return F.relu(x) if self.features == "relu" else F.elu(x) + 1

    def flops(self, mask: Mask) -> int:
        """Counts the projections of both sides, and the sums in the form that the mask allows.

        Scores of the denominator are counted separately, since a position may rotate those of the numerator.
        """
        queries, keys, key_width = mask.query.length, mask.key.length, self.head_dim
        total = queries * (count_linear_flops(self.query) + count_linear_flops(self.output))
        total += keys * (count_linear_flops(self.key) + count_linear_flops(self.value))
        for value_width in (key_width, 1) if self.normalize else (key_width,):
            if mask.causal and mask.prefix is None:
                total += count_recurrence_flops(
                    queries, self.chunk_size, self.heads, self.heads, key_width, value_width
                )
            elif mask.is_plain:
                total += 2 * self.heads * key_width * value_width * (queries + keys)
            else:
                total += 2 * self.heads * mask.count_pairs() * (key_width + value_width)
        return total


def _sum_values(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    """Computes Σ_j (q_iᵀ k_j) v_j over the keys that each query sees, ``[batch, heads, query, value width]``."""
    if mask.is_plain and not mask.causal:
        return q @ (k.mT @ v)  # every query sees every key: linear in length
    return (q @ k.mT * mask.materialize()[:, None]) @ v
