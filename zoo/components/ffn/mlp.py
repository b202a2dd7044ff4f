"""Two-layer MLP."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from zoo.checks import require_between, require_positive
from zoo.model.activation import ACTIVATIONS, Activation
from zoo.model.interfaces import FeedForward
from zoo.model.mask import Tokens
from zoo.model.projections import OutputLinear
from zoo.registry import register


@final
@register("ffn", "mlp", paper="arXiv:1706.03762")
class Mlp(FeedForward):
    """Two-layer MLP: computes down(activation(up(x))).

    Args:
        dim: features per token.
        hidden: features between the two layers.
        activation: activation function between the two layers.
        bias: whether both layers have biases.
        dropout: probability of zeroing a hidden feature in training.
    Raises:
        Refused: if ``hidden`` is not positive, or if ``dropout`` is not between 0 and 0.99.
    Source: Vaswani et al. 2017.
    """

    def __init__(
        self, dim: int, hidden: int, *, activation: Activation = "gelu", bias: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        require_positive("hidden", hidden)
        require_between("dropout", dropout, 0.0, 0.99)
        self.up = nn.Linear(dim, hidden, bias=bias)
        self.down = OutputLinear(hidden, dim, bias=bias)
        self.activate = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Maps ``[batch, length, dim]`` to the same shape."""
        out: Tensor = self.down(self.dropout(self.activate(self.up(x))))
        return out
