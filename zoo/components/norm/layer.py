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
    """(x - mean) / √(variance + eps) * weight + bias, over the features of a token.

    Args:
        dim: features per token.
        eps: added to the variance.
        weight: whether there is a learned factor for each feature.
        bias: whether there is a learned term for each feature.
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
        """``[…, dim]`` to the same shape."""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
