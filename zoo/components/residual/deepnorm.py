"""A stronger way around, for very deep stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "deepnorm", paper="arXiv:2203.00555")
class DeepNorm(Residual):
    """norm(α x + f(x)) for each sublayer f, with α > 1, and sublayers that begin smaller.

    With n sublayers in the whole stack, α is n^¼, and the first weights of values, outputs and feed-forwards are
    multiplied with (4n)^-¼: the paper's rule for an encoder or a decoder alone, and for the decoder of an
    encoder-decoder. Its rule for the encoder of an encoder-decoder also counts the decoder's layers, which a stack
    does not know: there, too, the stack's own rule is taken. The paper begins with xavier matrices.

    Args:
        dim: features per token.
        norm: makes a norm of a given width.
        sublayers: how many sublayers the layer has.
        layer: which layer this is, from 0; not used.
        layers: how many layers there are.
    Source: Wang et al. 2022.
    """

    final_norm: ClassVar[bool] = False

    def __init__(self, dim: int, norm: Callable[[int], Norm], sublayers: int, layer: int, layers: int) -> None:
        super().__init__()
        self.alpha = (sublayers * layers) ** 0.25
        self.branch_gain = (4 * sublayers * layers) ** -0.25
        self.norms = nn.ModuleList(norm(dim) for _ in range(sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Pass ``[batch, length, dim]`` through the sublayers."""
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = norm(self.alpha * x + sublayer(x))
        return x
