"""No normalization."""

from __future__ import annotations

from typing import final

from torch import Tensor

from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "none")
class NoNorm(Norm):
    """Returns x unchanged.

    Args:
        dim: features per token; unused.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``x``."""
        return x
