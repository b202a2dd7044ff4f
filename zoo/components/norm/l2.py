"""L2 normalization."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_multiple_features, require_positive
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "l2", paper="arXiv:2410.01131")
class L2Norm(Norm):
    """Scales the features of a token to unit L2 norm: x / max(‖x‖, eps), optionally multiplied by a learned weight.

    Args:
        dim: features per token.
        eps: lower bound of the denominator.
        weight: whether to learn a scale for each feature.
    Raises:
        Refused: if ``eps`` is not positive.
    Source: Loshchilov et al. 2024 (nGPT).
    """

    def __init__(self, dim: int, *, eps: float = 1e-6, weight: bool = False) -> None:
        super().__init__()
        require_multiple_features("dim", dim)
        require_positive("eps", eps)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim)) if weight else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalizes ``[…, dim]``, keeping the shape."""
        unit = F.normalize(x, dim=-1, eps=self.eps)
        return unit if self.weight is None else unit * self.weight
