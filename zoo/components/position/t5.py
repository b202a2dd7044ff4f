"""Bucketed relative biases, as in T5."""

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
    """Add to scores a learned number of the head and of the bucket of j - i: near distances one by one, far in logs.

    Where tokens see both ways, half of the buckets are for keys that come later. All layers that have the same
    position share its table, as in T5. T5 does not divide scores by √head_dim: that is ``scores.scale: 1.0``.

    Args:
        dim: not used.
        heads: heads; each has its own numbers.
        head_dim: not used.
        causal: whether all buckets are for keys that came before.
        buckets: how many distances are told apart; the first half of a direction's buckets are single distances.
        distance: from here on all distances of a direction share one bucket.
    Raises:
        Refused: if ``buckets`` are too few or odd, or ``distance`` is not beyond the single distances.
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
        self.each = buckets if causal else buckets // 2
        self.near = self.each // 2
        require(
            distance > self.near,
            f"distance must be above {self.near}: got distance={distance}, buckets={buckets}",
        )
        self.table = nn.Embedding(buckets, heads)

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """``[batch or 1, heads, query, key]``."""
        numbers: Tensor = self.table(self._bucket(key_positions[:, None, :] - query_positions[:, :, None]))
        return numbers.permute(0, 3, 1, 2).to(q.dtype)

    def _bucket(self, ahead: Tensor) -> Tensor:
        """The bucket of each distance; where ``causal``, a key that comes later (in a prefix) is at distance 0."""
        far = -ahead.clamp(max=0) if self.causal else ahead.abs()
        share = torch.log(far.clamp(min=1).float() / self.near) / math.log(self.distance / self.near)
        logs = (self.near + (share * (self.each - self.near)).long()).clamp(max=self.each - 1)
        bucket = torch.where(far < self.near, far, logs)
        return bucket if self.causal else bucket + self.each * (ahead > 0)
