"""Post-norm: normalization after each residual addition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "post", paper="arXiv:1706.03762")
class PostNorm(Residual):
    """Computes norm(x + f(x)) for each sublayer f.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0; unused.
        layers: number of layers in the stack; unused.
    Source: Vaswani et al. 2017.
    """

    final_norm: ClassVar[bool] = False

    def __init__(self, dim: int, norm: Callable[[int], Norm], sublayers: int, layer: int, layers: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm(dim) for _ in range(sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Applies the sublayers to ``[batch, length, dim]``, keeping the shape."""
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = norm(x + sublayer(x))
        return x
