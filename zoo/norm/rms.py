"""Root-mean-square normalisation."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "rms", paper="arXiv:1910.07467")
class RmsNorm(Norm):
    """x / √(mean of x² + eps) * weight, over the features of a token.

    Args:
        dim: features per token.
        eps: added to the mean square.
        weight: whether there is a learned factor for each feature.
    Source: Zhang and Sennrich 2019.
    """

    def __init__(self, dim: int, *, eps: float = 1e-6, weight: bool = True) -> None:
        super().__init__()
        require_positive("eps", eps)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim)) if weight else None

    def forward(self, x: Tensor) -> Tensor:
        """``[…, dim]`` to the same shape."""
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)
