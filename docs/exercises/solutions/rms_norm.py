"""Exercise 1: root-mean-square normalization."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from zoo import Norm, register, require_positive


@final
@register("norm", "exercise_rms", paper="arXiv:1910.07467")
class RmsNorm(Norm):
    """Divides the features of a token by their root mean square: x / √(mean(x²) + eps) * gain.

    Args:
        dim: features per token.
        eps: value added to the mean square.
    Raises:
        Refused: if ``eps`` is not positive.
    Source: Zhang and Sennrich 2019.
    """

    def __init__(self, dim: int, *, eps: float = 1e-6) -> None:
        super().__init__()
        require_positive("eps", eps)
        self.eps = eps
        self.gain = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalizes ``[…, dim]``, keeping the shape."""
        mean_square = x.square().mean(dim=-1, keepdim=True)  # […, 1]
        return x * torch.rsqrt(mean_square + self.eps) * self.gain
