"""ReZero: residual branches scaled by a learned scalar that starts at zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "rezero", paper="arXiv:2003.04887")
class ReZero(Residual):
    """Computes x + α f(x) for each sublayer f, with one learned α per layer, initialized to zero, and no norms.

    Args:
        dim: features per token; unused.
        norm: constructs a norm of a given width; unused.
        sublayers: number of sublayers in the layer; unused.
        layer: index of the layer, from 0; unused.
        layers: number of layers in the stack; unused.
    Source: Bachlechner et al. 2020.
    """

    final_norm: ClassVar[bool] = False

    def __init__(self, dim: int, norm: Callable[[int], Norm], sublayers: int, layer: int, layers: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Applies the sublayers to ``[batch, length, dim]``, keeping the shape."""
        for sublayer in sublayers:
            x = x + self.alpha * sublayer(x)
        return x
