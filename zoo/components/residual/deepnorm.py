"""DeepNorm: scaled residual connections for very deep stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.registry import register


@final
@register("residual", "deepnorm", paper="arXiv:2203.00555")
class DeepNorm(Residual):
    """Computes norm(α x + f(x)) for each sublayer f, with α > 1 and smaller initial weights in the sublayers.

    For a stack of n sublayers, α = n^¼, and the initial weights of values, outputs and feed-forward layers are
    multiplied by (4n)^-¼. This is the paper's rule for an encoder-only or a decoder-only model and for the decoder of
    an encoder-decoder. The paper's rule for the encoder of an encoder-decoder also depends on the depth of the
    decoder, which a stack does not know; the rule above is used there as well. The paper uses Xavier initialization.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0; unused.
        layers: number of layers in the stack.
    Source: Wang et al. 2022.
    """

    final_norm: ClassVar[bool] = False

    def __init__(self, dim: int, norm: Callable[[int], Norm], sublayers: int, layer: int, layers: int) -> None:
        super().__init__()
        self.alpha = (sublayers * layers) ** 0.25
        self.branch_gain = (4 * sublayers * layers) ** -0.25
        self.norms = nn.ModuleList(norm(dim) for _ in range(sublayers))

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Applies the sublayers to ``[batch, length, dim]``, keeping the shape."""
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = norm(self.alpha * x + sublayer(x))
        return x
