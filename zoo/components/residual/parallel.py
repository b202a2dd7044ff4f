"""All sublayers of a layer at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "parallel", paper="arXiv:2204.02311")
class ParallelResidual(Residual):
    """x + Σ f(norm(x)) over the sublayers f, which all read the same x; one more norm ends the stack.

    With a single sublayer this is ``pre``.

    Args:
        dim: features per token.
        norm: makes a norm of a given width.
        sublayers: how many sublayers the layer has.
        layer: which layer this is, from 0; not used.
        layers: how many layers there are; not used.
        norms: one for all sublayers, or each its own.
    Source: Chowdhery et al. 2022 (PaLM); Wang and Komatsuzaki 2021 (GPT-J); Black et al. 2022 (GPT-NeoX: each).
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
        norms: Literal["one", "each"] = "one",
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm(dim) for _ in range(1 if norms == "one" else sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Pass ``[batch, length, dim]`` through the sublayers."""
        read = [norm(x) for norm in self.norms]
        if len(read) == 1:
            read *= len(sublayers)
        for sublayer, own in zip(sublayers, read, strict=True):
            x = x + sublayer(own)
        return x
