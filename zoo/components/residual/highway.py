"""Highway connections: a learned gate between a sublayer and its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "highway", paper="arXiv:1505.00387")
class Highway(Residual):
    """Computes t * f(norm(x)) + (1 - t) * x for each sublayer f, with the gate t = σ(W x + b).

    The stack ends with a final norm.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0; unused.
        layers: number of layers in the stack; unused.
        initial: initial value of b; a negative value carries most of x through at first.
    Source: Srivastava et al. 2015; norms are placed as in ``pre``.
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
        initial: float = -2.0,
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm(dim) for _ in range(sublayers))
        self.gates = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in range(sublayers))
        # Not the biases of the Linear modules, since initialization sets those to zero.
        self.biases = nn.ParameterList(torch.full((dim,), initial) for _ in range(sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Applies the sublayers to ``[batch, length, dim]``, keeping the shape."""
        for norm, gate, bias, sublayer in zip(self.norms, self.gates, self.biases, sublayers, strict=True):
            t = torch.sigmoid(gate(x) + bias)
            x = t * sublayer(norm(x)) + (1 - t) * x
        return x
