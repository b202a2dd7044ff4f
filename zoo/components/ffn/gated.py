"""The gated perceptron."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from zoo.checks import require_between, require_positive
from zoo.model.activation import ACTIVATIONS, Activation, gate_product
from zoo.model.interfaces import FeedForward
from zoo.model.mask import Tokens
from zoo.model.projections import OutputLinear
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
        clamp: gate is at most this, and up between its negative and this (gpt-oss, 2025); null is no limit.
        up_offset: what is added to up; 1 lets a gate pass where up is zero (gpt-oss).
    Source: Shazeer 2020.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        *,
        activation: Activation = "silu",
        bias: bool = False,
        dropout: float = 0.0,
        clamp: float | None = None,
        up_offset: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive("hidden", hidden)
        require_between("dropout", dropout, 0.0, 0.99)
        if clamp is not None:
            require_positive("clamp", clamp)
        self.gate = nn.Linear(dim, hidden, bias=bias)
        self.up = nn.Linear(dim, hidden, bias=bias)
        self.down = OutputLinear(hidden, dim, bias=bias)
        self.activate, self.clamp, self.up_offset = ACTIVATIONS[activation], clamp, up_offset
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """``[batch, length, dim]`` to the same shape."""
        hidden = gate_product(self.gate(x), self.up(x), self.activate, self.clamp, self.up_offset)
        out: Tensor = self.down(self.dropout(hidden))
        return out
