"""Batched weights of gated experts; not a component itself."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.model.activation import ACTIVATIONS, Activation, apply_gate
from zoo.model.projections import BatchedLinear


@final
class Experts(nn.Module):
    """Computes down(activation(gate(x)) * up(x)) with the weights of each of ``count`` experts.

    Args:
        count: number of experts.
        dim: features per token.
        hidden: output features of gate and up of one expert.
        activation: activation function of the gate.
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
        """Applies expert n to ``x[n]``, for ``[count, tokens, dim]``, keeping the shape."""
        out: Tensor = self.down(self._combine(self.gate(x), self.up(x)))
        return out

    def apply_groups(self, x: Tensor, groups: Tensor, ends: Tensor) -> Tensor:
        """Applies expert n to the rows of group n; arguments as of ``BatchedLinear.apply_groups``."""
        gate, up = self.gate.apply_groups(x, groups, ends), self.up.apply_groups(x, groups, ends)
        return self.down.apply_groups(self._combine(gate, up), groups, ends)

    @property
    def size(self) -> int:
        """Number of parameters of one expert."""
        return sum(parameter.numel() for parameter in self.parameters()) // self.count

    def _combine(self, gate: Tensor, up: Tensor) -> Tensor:
        return apply_gate(gate, up, self.activate, self.clamp, self.up_offset)
