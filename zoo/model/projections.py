"""Matrices with a role that initialization and cost must know of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.model.parameter_roles import Role


@final
class OutputLinear(nn.Linear):
    """The last matrix of a sublayer, whose output joins the residual stream; depth-aware initialisations scale it."""


@final
class BatchedLinear(nn.Module):
    """``count`` matrices of one shape, one for each expert: y[n] = x[n] W[n]ᵀ + b[n].

    Args:
        count: matrices.
        inputs: features that each takes.
        outputs: features that each gives.
        bias: whether each has a learned term.
        is_output: whether the output joins the residual stream, as that of ``OutputLinear``.
    """

    roles: ClassVar[Mapping[str, Role]] = {"weight": "matrix", "bias": "vector"}

    def __init__(self, count: int, inputs: int, outputs: int, *, bias: bool = False, is_output: bool = False) -> None:
        super().__init__()
        self.count, self.is_output = count, is_output
        self.weight = nn.Parameter(torch.empty(count, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(count, outputs)) if bias else None
        nn.init.uniform_(self.weight, -(inputs**-0.5), inputs**-0.5)  # as nn.Linear begins

    def forward(self, x: Tensor) -> Tensor:
        """``[count, tokens, inputs]`` to ``[count, tokens, outputs]``."""
        y = torch.bmm(x, self.weight.mT)
        return y if self.bias is None else y + self.bias[:, None]

    def apply_each(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """What matrix n makes of ``parts[n]`` ``[…, inputs]``, which may be of different lengths."""
        weights = self.weight.unbind()  # all at once: the gradient of a slice alone is as large as the whole
        biases = [None] * self.count if self.bias is None else self.bias.unbind()
        return [nn.functional.linear(*given) for given in zip(parts, weights, biases, strict=True)]
