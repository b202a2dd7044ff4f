"""Several gated perceptrons of one shape; not a component itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.model.activation import ACTIVATIONS, Activation, gate_product
from zoo.model.projections import BatchedLinear


@final
class Experts(nn.Module):
    """down(activation(gate(x)) * up(x)), ``count`` times.

    Args:
        count: experts.
        dim: features per token.
        hidden: features of gate and of up of one expert.
        activation: the function on the gate.
        bias: whether the three layers have biases.
        clamp: as in ``gated``.
        up_offset: as in ``gated``.
    """

    def __init__(
        self,
        count: int,
        dim: int,
        hidden: int,
        activation: Activation,
        bias: bool = False,
        clamp: float | None = None,
        up_offset: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive("experts", count)
        require_positive("hidden", hidden)
        if clamp is not None:
            require_positive("clamp", clamp)
        self.count = count
        self.gate = BatchedLinear(count, dim, hidden, bias=bias)
        self.up = BatchedLinear(count, dim, hidden, bias=bias)
        self.down = BatchedLinear(count, hidden, dim, bias=bias, is_output=True)
        self.activate, self.clamp, self.up_offset = ACTIVATIONS[activation], clamp, up_offset

    def forward(self, x: Tensor) -> Tensor:
        """``[count, tokens, dim]`` to the same shape: expert n works on ``x[n]``."""
        out: Tensor = self.down(self._product(self.gate(x), self.up(x)))
        return out

    def each(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """``count`` times ``[tokens, dim]`` to the same shapes, for experts with different numbers of tokens."""
        pairs = zip(self.gate.each(parts), self.up.each(parts), strict=True)
        return self.down.each([self._product(gate, up) for gate, up in pairs])

    @property
    def size(self) -> int:
        """Parameters of one expert."""
        return sum(parameter.numel() for parameter in self.parameters()) // self.count

    def _product(self, gate: Tensor, up: Tensor) -> Tensor:
        return gate_product(gate, up, self.activate, self.clamp, self.up_offset)
