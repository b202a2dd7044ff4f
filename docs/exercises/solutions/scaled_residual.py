"""Exercise 3: a residual connection with a learned scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo import Norm, Residual, Sublayer, register, require_positive


@final
@register("residual", "exercise_scaled")
class ScaledResidual(Residual):
    """Computes x + λ * f(norm(x)) for each sublayer f, with one learned number λ for each sublayer.

    The stack ends with a final norm.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0; unused.
        layers: number of layers in the stack; unused.
        initial: initial value of λ.
    Raises:
        Refused: if ``initial`` is not positive.
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
        initial: float = 0.5,
    ) -> None:
        super().__init__()
        require_positive("initial", initial)
        self.norms = nn.ModuleList(norm(dim) for _ in range(sublayers))
        self.scale = nn.Parameter(torch.full((sublayers,), initial))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Passes ``[batch, length, dim]`` through the sublayers in order, keeping the shape."""
        for norm, scale, sublayer in zip(self.norms, self.scale, sublayers, strict=True):
            x = x + scale * sublayer(norm(x))
        return x
