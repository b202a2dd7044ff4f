"""Parallel sublayers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "parallel", paper="arXiv:2204.02311")
class ParallelResidual(Residual):
    """Computes x + Σ f(norm(x)) over all sublayers f of the layer in parallel; the stack ends with a final norm.

    With a single sublayer this is equivalent to ``pre``.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0; unused.
        layers: number of layers in the stack; unused.
        norms: whether the sublayers share one norm or each have their own.
    Source: Chowdhery et al. 2022 (PaLM); Wang and Komatsuzaki 2021 (GPT-J); Black et al. 2022 (GPT-NeoX, ``each``).
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
        """Applies the sublayers to ``[batch, length, dim]``, keeping the shape."""
        inputs = [norm(x) for norm in self.norms]
        if len(inputs) == 1:
            inputs *= len(sublayers)
        for sublayer, normalized in zip(sublayers, inputs, strict=True):
            x = x + sublayer(normalized)
        return x
