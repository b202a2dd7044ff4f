"""Scale normalization (ScaleNorm)."""

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
    """Scales the features of a token to a learned L2 norm: x / max(‖x‖, eps) * g, with g initialized to √dim.

    Args:
        dim: features per token.
        eps: lower bound of the denominator.
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
        """Normalizes ``[…, dim]``, keeping the shape."""
        return self.g * F.normalize(x, dim=-1, eps=self.eps)
