"""LayerScale: a learned scale for each feature of a sublayer's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "layerscale", paper="arXiv:2103.17239")
class LayerScale(Residual):
    """Computes x + λ * f(norm(x)) for each sublayer f, with a learned λ for each feature that starts small.

    The stack ends with a final norm.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0; unused.
        layers: number of layers in the stack; it determines the default of ``initial``.
        initial: initial value of λ; null for 0.1 up to 18 layers, 1e-5 up to 24 and 1e-6 beyond, as in the paper.
    Raises:
        Refused: if ``initial`` is not positive.
    Source: Touvron et al. 2021 (CaiT).
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
        initial: float | None = None,
    ) -> None:
        super().__init__()
        if initial is None:
            initial = 0.1 if layers <= 18 else 1e-5 if layers <= 24 else 1e-6
        require_positive("initial", initial)
        self.norms = nn.ModuleList(norm(dim) for _ in range(sublayers))
        self.scales = nn.ParameterList(torch.full((dim,), initial) for _ in range(sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Applies the sublayers to ``[batch, length, dim]``, keeping the shape."""
        for norm, scale, sublayer in zip(self.norms, self.scales, sublayers, strict=True):
            x = x + scale * sublayer(norm(x))
        return x
