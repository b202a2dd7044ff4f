"""Norm of what each sublayer adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "inside", paper="arXiv:2501.00656")
class InsideNorm(Residual):
    """x + norm(f(x)) for each sublayer f; one more norm ends the stack.

    The norm stands after the sublayer, but the way around it stays free, unlike in ``post``.

    Args:
        dim: features per token.
        norm: makes a norm of a given width.
        sublayers: how many sublayers the layer has.
        layer: which layer this is, from 0; not used.
        layers: how many layers there are; not used.
    Source: OLMo 2 (Walsh et al. 2024); Liu et al. 2021 (Swin V2) before it.
    """

    final_norm: ClassVar[bool] = True

    def __init__(self, dim: int, norm: Callable[[int], Norm], sublayers: int, layer: int, layers: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm(dim) for _ in range(sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Pass ``[batch, length, dim]`` through the sublayers."""
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = x + norm(sublayer(x))
        return x
