"""Norm of each sublayer's output, inside the residual branch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "inside", paper="arXiv:2501.00656")
class InsideNorm(Residual):
    """Computes x + norm(f(x)) for each sublayer f; the stack ends with a final norm.

    Unlike in ``post``, the skip connection is not normalized.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0; unused.
        layers: number of layers in the stack; unused.
    Source: Walsh et al. 2024 (OLMo 2); earlier in Liu et al. 2021 (Swin V2).
    """

    final_norm: ClassVar[bool] = True

    def __init__(self, dim: int, norm: Callable[[int], Norm], sublayers: int, layer: int, layers: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm(dim) for _ in range(sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Applies the sublayers to ``[batch, length, dim]``, keeping the shape."""
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = x + norm(sublayer(x))
        return x
