"""Root-mean-square normalization."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from zoo.checks import require, require_multiple_features, require_positive
from zoo.model.fused import normalize_rms
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "rms", paper="arXiv:1910.07467")
class RmsNorm(Norm):
    """Divides the features of a token by their root mean square: x / √(mean(x²) + eps) * weight.

    Args:
        dim: features per token.
        eps: value added to the mean square.
        weight: whether to learn a scale for each feature.
        unit_offset: whether the scale is 1 + weight, with a weight initialized to zero (Gemma).
    Raises:
        Refused: if ``eps`` is not positive, or if ``unit_offset`` is set without ``weight``.
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
        """Normalizes ``[…, dim]``, keeping the shape."""
        if self.weight is None or not self.unit_offset:
            return normalize_rms(x, self.weight, self.eps)
        # In bfloat16, 1 + weight would round away most of a small weight.
        wide = torch.promote_types(x.dtype, torch.float32)
        return normalize_rms(x.to(wide), 1 + self.weight.to(wide), self.eps).to(x.dtype)
