"""Sandwich norm: normalization before and after each sublayer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "sandwich", paper="arXiv:2105.13290")
class SandwichNorm(Residual):
    """Computes x + norm(f(norm(x))) with two norms for each sublayer f; the stack ends with a final norm.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0; unused.
        layers: number of layers in the stack; unused.
    Source: Ding et al. 2021 (CogView); also in Gemma 2 and 3.
    """

    final_norm: ClassVar[bool] = True

    def __init__(self, dim: int, norm: Callable[[int], Norm], sublayers: int, layer: int, layers: int) -> None:
        super().__init__()
        self.before = nn.ModuleList(norm(dim) for _ in range(sublayers))
        self.after = nn.ModuleList(norm(dim) for _ in range(sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Applies the sublayers to ``[batch, length, dim]``, keeping the shape."""
        for before, after, sublayer in zip(self.before, self.after, sublayers, strict=True):
            x = x + after(sublayer(before(x)))
        return x
