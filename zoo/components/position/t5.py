"""Bucketed relative position biases of T5."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn

from zoo.checks import require
from zoo.model.interfaces import Position
from zoo.registry import register


@final
@register("position", "t5", paper="arXiv:1910.10683")
class T5Bias(Position):
    """Relative bias of T5: adds a learned scalar for each head and bucket of j - i to the score of query i and key j.

    Small distances have a bucket each; larger ones share buckets whose widths grow logarithmically. In bidirectional
    attention half of the buckets are for later keys. All layers with the same position component share its table, as in
    T5. T5 does not divide scores by √head_dim, which is the attention's option ``scores.scale: 1.0``.

    Args:
        dim: unused.
        heads: number of heads; each has its own biases.
        head_dim: unused.
        causal: whether all buckets are for the query's own and earlier positions.
        buckets: number of buckets; the first half of those of a direction hold one distance each.
        distance: distances from here on share the last bucket of their direction.
    Raises:
        Refused: if ``buckets`` is odd or too small, or ``distance`` is among those with a bucket of their own.
    Source: Raffel et al. 2019.
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, causal: bool, *, buckets: int = 32, distance: int = 128
    ) -> None:
        super().__init__()
        multiple = 2 if causal else 4
        require(
            buckets >= multiple and buckets % 2 == 0,
            f"buckets must be even and at least {multiple}: got buckets={buckets}",
        )
        self.causal, self.distance = causal, distance
        self.per_direction = buckets if causal else buckets // 2
        self.exact = self.per_direction // 2
        require(
            distance > self.exact,
            f"distance must be above {self.exact}: got distance={distance}, buckets={buckets}",
        )
        self.table = nn.Embedding(buckets, heads)

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Returns ``[batch or 1, heads, query, key]``."""
        biases: Tensor = self.table(self._find_buckets(key_positions[:, None, :] - query_positions[:, :, None]))
        return biases.permute(0, 3, 1, 2).to(q.dtype)  # from [batch or 1, query, key, heads]

    def _find_buckets(self, offsets: Tensor) -> Tensor:
        """Maps offsets j - i to buckets; if ``causal``, a later key (in a prefix) counts as distance 0."""
        distance = -offsets.clamp(max=0) if self.causal else offsets.abs()
        ratio = torch.log(distance.clamp(min=1).float() / self.exact) / math.log(self.distance / self.exact)
        shared = (self.exact + (ratio * (self.per_direction - self.exact)).long()).clamp(max=self.per_direction - 1)
        bucket = torch.where(distance < self.exact, distance, shared)
        return bucket if self.causal else bucket + self.per_direction * (offsets > 0)
