"""Layer normalization."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_multiple_features, require_positive
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "layer", paper="arXiv:1607.06450")
class LayerNorm(Norm):
    """Normalizes the features of a token by mean and variance: (x - mean) / √(variance + eps) * weight + bias.

    Args:
        dim: features per token.
        eps: value added to the variance.
        weight: whether to learn a scale for each feature.
        bias: whether to learn a bias for each feature.
    Raises:
        Refused: if ``eps`` is not positive.
    Source: Ba et al. 2016.
    """

    def __init__(self, dim: int, *, eps: float = 1e-5, weight: bool = True, bias: bool = True) -> None:
        super().__init__()
        require_multiple_features("dim", dim)
        require_positive("eps", eps)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim)) if weight else None
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalizes ``[…, dim]``, keeping the shape."""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
