"""Root-mean-square normalization."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require, require_multiple_features, require_positive
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "rms", paper="arXiv:1910.07467")
class RmsNorm(Norm):
    """x / √(mean of x² + eps) * weight, over the features of a token.

    Args:
        dim: features per token.
        eps: added to the mean square.
        weight: whether there is a learned factor for each feature.
        unit_offset: the factor is 1 + weight, and weight begins at zero (Gemma).
    Raises:
        Refused: if ``eps`` is not positive, or ``unit_offset`` has no weight to act on.
    Source: Zhang and Sennrich 2019.
    """

    def __init__(self, dim: int, *, eps: float = 1e-6, weight: bool = True, unit_offset: bool = False) -> None:
        super().__init__()
        require_multiple_features("dim", dim)
        require_positive("eps", eps)
        require(weight or not unit_offset, f"unit_offset needs weight: got {unit_offset=}, {weight=}")
        self.eps = eps
        self.unit_offset = unit_offset
        self.weight = nn.Parameter(torch.full((dim,), 0.0 if unit_offset else 1.0)) if weight else None

    def forward(self, x: Tensor) -> Tensor:
        """``[…, dim]`` to the same shape."""
        if self.weight is None or not self.unit_offset:
            return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)
        # In bfloat16 the sum 1 + weight would lose most of a small weight.
        wide = torch.promote_types(x.dtype, torch.float32)
        return F.rms_norm(x.to(wide), x.shape[-1:], 1 + self.weight.to(wide), self.eps).to(x.dtype)
