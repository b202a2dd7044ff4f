"""Dynamic error function (Derf), a replacement for normalization."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "derf", paper="arXiv:2512.10938")
class DynamicErf(Norm):
    """Applies erf(α x + s) * weight + bias to each feature; α and s are learned, and s is initialized to zero.

    Like ``dyt``, it computes no statistics over the features: erf is bounded.

    Args:
        dim: features per token.
        alpha: initial value of α.
        weight: whether to learn a scale for each feature.
        bias: whether to learn a bias for each feature.
    Raises:
        Refused: if ``alpha`` is not positive.
    Source: Chen et al. 2025.
    """

    def __init__(self, dim: int, *, alpha: float = 0.5, weight: bool = True, bias: bool = True) -> None:
        super().__init__()
        require_positive("alpha", alpha)
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.shift = nn.Parameter(torch.zeros(1))
        self.weight = nn.Parameter(torch.ones(dim)) if weight else None
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[…, dim]`` to the same shape."""
        y = torch.erf(self.alpha * x + self.shift)
        y = y if self.weight is None else y * self.weight
        return y if self.bias is None else y + self.bias
