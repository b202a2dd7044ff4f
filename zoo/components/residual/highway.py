"""A gate between a sublayer and the way around it."""

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
    """t * f(norm(x)) + (1 - t) * x for each sublayer f, where t = σ(W x + b); one more norm ends the stack.

    Args:
        dim: features per token.
        norm: makes a norm of a given width.
        sublayers: how many sublayers the layer has.
        layer: which layer this is, from 0; not used.
        layers: how many layers there are; not used.
        initial: first value of b; negative lets most of x pass at first.
    Source: Srivastava et al. 2015; the norm is that of ``pre``.
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
        # Apart from their Linear, whose bias would begin at zero with all others.
        self.biases = nn.ParameterList(torch.full((dim,), initial) for _ in range(sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Pass ``[batch, length, dim]`` through the sublayers."""
        for norm, gate, bias, sublayer in zip(self.norms, self.gates, self.biases, sublayers, strict=True):
            t = torch.sigmoid(gate(x) + bias)
            x = t * sublayer(norm(x)) + (1 - t) * x
        return x
