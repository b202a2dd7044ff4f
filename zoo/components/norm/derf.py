"""The error function in place of a norm."""

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
    """erf(α x + s) * weight + bias, each feature by itself; α and s are learned, s begins at zero.

    Like ``dyt``, it averages nothing over features: erf is bounded.

    Args:
        dim: features per token.
        alpha: first value of α.
        weight: whether there is a learned factor for each feature.
        bias: whether there is a learned term for each feature.
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
        """``[…, dim]`` to the same shape."""
        y = torch.erf(self.alpha * x + self.shift)
        y = y if self.weight is None else y * self.weight
        return y if self.bias is None else y + self.bias
