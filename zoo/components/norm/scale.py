"""Normalization to a learned length."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_multiple_features, require_positive
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "scale", paper="arXiv:1910.05895")
class ScaleNorm(Norm):
    """x / max(‖x‖, eps) * g, with one learned length g for all features; it begins at √dim.

    Args:
        dim: features per token.
        eps: the least length that is divided by.
    Raises:
        Refused: if ``eps`` is not positive.
    Source: Nguyen and Salazar 2019.
    """

    def __init__(self, dim: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        require_multiple_features("dim", dim)
        require_positive("eps", eps)
        self.eps = eps
        self.g = nn.Parameter(torch.full((1,), dim**0.5))

    def forward(self, x: Tensor) -> Tensor:
        """``[…, dim]`` to the same shape."""
        return self.g * F.normalize(x, dim=-1, eps=self.eps)
