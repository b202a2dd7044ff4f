"""The gated perceptron."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from zoo.activation import ACTIVATIONS, Activation
from zoo.checks import require_positive
from zoo.interfaces import FeedForward
from zoo.linear import OutputLinear
from zoo.mask import Tokens
from zoo.registry import register


@final
@register("ffn", "gated", paper="arXiv:2002.05202")
class Gated(FeedForward):
    """down(activation(gate(x)) * up(x)): SwiGLU with silu, GeGLU with gelu, GLU with sigmoid, bilinear with identity.

    Args:
        dim: features per token.
        hidden: features of gate and of up, as given; two thirds of an ungated width cost the same.
        activation: the function on the gate.
        bias: whether the three layers have biases.
        dropout: probability that a hidden feature is zeroed in training.
    Source: Shazeer 2020.
    """

    def __init__(
        self, dim: int, hidden: int, *, activation: Activation = "silu", bias: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        require_positive("hidden", hidden)
        self.gate = nn.Linear(dim, hidden, bias=bias)
        self.up = nn.Linear(dim, hidden, bias=bias)
        self.down = OutputLinear(hidden, dim, bias=bias)
        self.activate = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """``[batch, length, dim]`` to the same shape."""
        out: Tensor = self.down(self.dropout(self.activate(self.gate(x)) * self.up(x)))
        return out
