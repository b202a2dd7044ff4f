"""No norm."""

from __future__ import annotations

from typing import final

from torch import Tensor

from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("norm", "none")
class NoNorm(Norm):
    """x itself.

    Args:
        dim: features per token; not used.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """``[…, dim]`` to the same shape."""
        return x
