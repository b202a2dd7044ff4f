"""Attention with linear biases."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from zoo.model.interfaces import Position
from zoo.registry import register


@final
@register("position", "alibi", paper="arXiv:2108.12409")
class Alibi(Position):
    """Attention with linear biases (ALiBi): adds -slope * abs(i - j) to the score of query i and key j.

    Each head has a fixed slope. In bidirectional attention the bias is symmetric.

    Args:
        dim: unused.
        heads: number of heads. The slope of head h = 1, 2, … is 2^(-8h / heads). If ``heads`` is not a power of two,
            the heads have the slopes of the next lower power, then every other slope of the next higher one.
        head_dim: unused.
        causal: unused.
    Source: Press et al. 2021.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool) -> None:
        super().__init__()
        self.slopes = _compute_slopes(heads)

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Returns -slope * distance, ``[batch or 1, heads, query, key]``."""
        distance = (query_positions[:, :, None] - key_positions[:, None, :]).abs()
        slopes = torch.tensor(self.slopes, device=q.device, dtype=torch.float32)
        # [heads, 1, 1] * [batch or 1, 1, query, key]
        return (-slopes[:, None, None] * distance[:, None]).to(q.dtype)


def _compute_slopes(heads: int) -> list[float]:
    """Computes one slope per head: a geometric sequence, completed by every other slope of twice as many heads."""
    lower = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (i + 1) / lower) for i in range(lower)]
    interpolated = [2.0 ** (-8 * (i + 1) / (2 * lower)) for i in range(0, 2 * lower, 2)]
    return slopes + interpolated[: heads - lower]
