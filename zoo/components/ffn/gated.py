"""Gated linear units."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from zoo.checks import require_between, require_positive
from zoo.model.activation import ACTIVATIONS, Activation, apply_gate
from zoo.model.interfaces import FeedForward
from zoo.model.mask import Tokens
from zoo.model.projections import OutputLinear
from zoo.registry import register


@final
@register("ffn", "gated", paper="arXiv:2002.05202")
class Gated(FeedForward):
    """Gated MLP: computes down(activation(gate(x)) * up(x)).

    The activation determines the variant: SwiGLU with ``silu``, GeGLU with ``gelu``, GLU with ``sigmoid``, and the
    bilinear layer with ``identity``.

    Args:
        dim: features per token.
        hidden: output features of gate and up; two thirds of the width of an ungated MLP cost the same.
        activation: activation function of the gate.
        bias: whether the three layers have biases.
        dropout: probability of zeroing a hidden feature in training.
        clamp: upper bound of gate, and bound of the absolute value of up (gpt-oss, 2025); null for no bound.
        up_offset: value added to up; with 1, the gate passes where up is zero (gpt-oss).
    Raises:
        Refused: if ``hidden`` or ``clamp`` is not positive, or if ``dropout`` is not between 0 and 0.99.
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
        """Maps ``[batch, length, dim]`` to the same shape."""
        hidden = apply_gate(self.gate(x), self.up(x), self.activate, self.clamp, self.up_offset)
        out: Tensor = self.down(self.dropout(hidden))
        return out
