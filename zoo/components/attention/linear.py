"""Linear attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.components.attention._chunked import decayed, decayed_flops
from zoo.components.attention._recurrent import (
    PackedRow,
    Recurrent,
    State,
    full_precision,
    merge_heads,
    split_heads,
    wide,
)
from zoo.model.cache import Cache
from zoo.model.interfaces import Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

Features = Literal["elu_plus_one", "relu", "softmax"]
EPS = 1e-6


@final
@register("attention", "linear", paper="arXiv:2006.16236")
class LinearAttention(Recurrent):
    """y_i = Σ_j φ(q_i)ᵀφ(k_j) v_j / Σ_j φ(q_i)ᵀφ(k_j): weights without softmax, so sums over j can be kept as a state.

    A position turns features in the numerator only, so that the denominator stays positive (Su et al. 2021). Rows with
    a prefix, or packed and seen both ways, are mixed through the matrix of all weights; their cache holds keys.

    Args:
        dim: features per token.
        heads: heads.
        head_dim: features per head.
        norm: not used.
        features: φ: elu(x) + 1, relu(x), or softmax over the features (Shen et al. 2018).
        normalize: whether there is a denominator.
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
        """``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        if mask.causal and mask.prefix is None:
            return super().forward(x, memory, mask, position, cache)
        q, k, v = self._project(x, memory)
        rotated_k = position.rotate_keys(k, mask.key.position)
        if cache is not None:
            own = () if rotated_k is k else (k,)  # where nothing turns, one key serves both sums
            (rotated_k, v, *rest), mask = cache.extend((rotated_k, v, *own), mask)
            k = rest[0] if rest else rotated_k
        with full_precision(x):
            y = _averaged(position.rotate_queries(q, mask.query.position), rotated_k, v, mask)
            if self.normalize:
                y = y / (_averaged(q, k, torch.ones_like(v[..., :1]), mask) + EPS)
        out: Tensor = self.output(merge_heads(y).to(x.dtype))
        return out

    def mix(self, x: Tensor, row: PackedRow, position: Position, state: State) -> tuple[Tensor, State]:
        """The state is Σ φ(k) vᵀ, rotated, and Σ φ(k), ``[batch, heads, head_dim, head_dim]`` and ``[…, 1]``."""
        q, k, v = self._project(x, x)
        none = torch.zeros_like(v[:1, ..., :1])
        rotated_q, rotated_k = position.rotate_queries(q, row.position), position.rotate_keys(k, row.position)
        y, memory = decayed(rotated_q, rotated_k, v, none, row, self.chunk, state[0] if state else None)
        remembered: State = (memory,)
        if self.normalize:
            one = torch.ones_like(v[..., :1])
            weight, sums = decayed(q, k, one, none, row, self.chunk, state[1] if state else None)
            y, remembered = y / (weight + EPS), (memory, sums)
        return self.output(merge_heads(y).to(x.dtype)), remembered

    def _project(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (
            split_heads(wide(part(y)), self.heads)
            for part, y in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        return self._features(q), self._features(k), v

    def _features(self, x: Tensor) -> Tensor:
        if self.features == "softmax":
            return x.softmax(dim=-1)
        return F.relu(x) if self.features == "relu" else F.elu(x) + 1

    def flops(self, mask: Mask) -> int:
        """Projections of both sides, and the sums in the form that the mask allows.

        Scores of the denominator are apart from those of the numerator, which a position may turn.
        """
        queries, keys, width = mask.query.length, mask.key.length, self.head_dim
        total = queries * (count_linear_flops(self.query) + count_linear_flops(self.output))
        total += keys * (count_linear_flops(self.key) + count_linear_flops(self.value))
        for value in (width, 1) if self.normalize else (width,):
            if mask.causal and mask.prefix is None:
                total += decayed_flops(queries, self.chunk, self.heads, self.heads, width, value)
            elif mask.is_plain:
                total += 2 * self.heads * width * value * (queries + keys)
            else:
                total += 2 * self.heads * mask.count_pairs() * (width + value)
        return total


def _averaged(q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
    """Σ_j (q_iᵀ k_j) v_j over what each query sees, ``[batch, heads, query, value width]``."""
    if mask.is_plain and not mask.causal:
        return q @ (k.mT @ v)
    return (q @ k.mT * mask.materialize()[:, None]) @ v
