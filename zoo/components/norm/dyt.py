"""Dynamic tanh (DyT), a replacement for normalization."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "dyt", paper="arXiv:2503.10622")
class DynamicTanh(Norm):
    """Applies tanh(α x) * weight + bias to each feature, with a learned α.

    It computes no statistics over the features; instead, tanh bounds them.

    Args:
        dim: features per token.
        alpha: initial value of α.
        weight: whether to learn a scale for each feature.
        bias: whether to learn a bias for each feature.
    Raises:
        Refused: if ``alpha`` is not positive.
    Source: Zhu et al. 2025.
    """

    def __init__(self, dim: int, *, alpha: float = 0.5, weight: bool = True, bias: bool = True) -> None:
        super().__init__()
        require_positive("alpha", alpha)
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.weight = nn.Parameter(torch.ones(dim)) if weight else None
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[…, dim]`` to the same shape."""
        y = torch.tanh(self.alpha * x)
        y = y if self.weight is None else y * self.weight
        return y if self.bias is None else y + self.bias
