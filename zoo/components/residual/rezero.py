"""A gate that begins closed, in place of norms."""

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
    """x + α f(x) for each sublayer f, with one learned α for a layer that begins at zero; there are no norms.

    Args:
        dim: features per token; not used.
        norm: makes a norm of a given width; not used.
        sublayers: how many sublayers the layer has; not used.
        layer: which layer this is, from 0; not used.
        layers: how many layers there are; not used.
    Source: Bachlechner et al. 2020.
    """

    final_norm: ClassVar[bool] = False

    def __init__(self, dim: int, norm: Callable[[int], Norm], sublayers: int, layer: int, layers: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Pass ``[batch, length, dim]`` through the sublayers."""
        for sublayer in sublayers:
            x = x + self.alpha * sublayer(x)
        return x
