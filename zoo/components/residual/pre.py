"""Pre-norm: normalization before each sublayer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "pre", paper="arXiv:2002.04745")
class PreNorm(Residual):
    """Computes x + f(norm(x)) for each sublayer f; the stack ends with a final norm.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0.
        layers: number of layers in the stack; unused.
        first_norm: whether the input of the first sublayer of layer 0 is normalized; set it to false if the embeddings
            are normalized already, by ``input_norm``.
    Source: Xiong et al. 2020; without the first norm: Warner et al. 2024 (ModernBERT, arXiv:2412.13663).
    """

    final_norm: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        norm: Callable[[int], Norm],
        sublayers: int,
        layer: int,
        layers: int,
        *,
        first_norm: bool = True,
    ) -> None:
        super().__init__()
        norms = [norm(dim) if first_norm or layer + i > 0 else nn.Identity() for i in range(sublayers)]
        self.norms = nn.ModuleList(norms)

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Applies the sublayers to ``[batch, length, dim]``, keeping the shape."""
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = x + sublayer(norm(x))
        return x
