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
    """Scores fall with distance, by a fixed slope for each head; both ways alike where tokens see both ways.

    Args:
        dim: not used.
        heads: heads; slopes are 2^(-8h/heads), and for other counts than powers of two those of the next lower
            power, then every other one of the next higher.
        head_dim: not used.
        causal: not used.
    Source: Press et al. 2021.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool) -> None:
        super().__init__()
        self.slopes = _slopes(heads)

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """-slope * distance: ``[batch or 1, heads, query, key]``."""
        distance = (query_positions[:, :, None] - key_positions[:, None, :]).abs()
        slopes = torch.tensor(self.slopes, device=q.device, dtype=torch.float32)
        return (-slopes[:, None, None] * distance[:, None]).to(q.dtype)


def _slopes(heads: int) -> list[float]:
    lower = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (i + 1) / lower) for i in range(lower)]
    between = [2.0 ** (-8 * (i + 1) / (2 * lower)) for i in range(0, 2 * lower, 2)]
    return slopes + between[: heads - lower]
