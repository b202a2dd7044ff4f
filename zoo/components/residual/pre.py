"""Norm before each sublayer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "pre", paper="arXiv:2002.04745")
class PreNorm(Residual):
    """x + f(norm(x)) for each sublayer f; one more norm ends the stack.

    Args:
        dim: features per token.
        norm: makes a norm of a given width.
        sublayers: how many sublayers the layer has.
        layer: which layer this is, from 0.
        layers: how many layers there are; not used.
        first_norm: whether the first sublayer of layer 0 reads norm(x); false where x comes with a norm, as
            ``input_norm`` gives it to the embeddings.
    Source: Xiong et al. 2020; no first norm: Warner et al. 2024 (ModernBERT, arXiv:2412.13663).
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
        made = [norm(dim) if first_norm or layer + i > 0 else nn.Identity() for i in range(sublayers)]
        self.norms = nn.ModuleList(made)

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Pass ``[batch, length, dim]`` through the sublayers."""
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = x + sublayer(norm(x))
        return x
