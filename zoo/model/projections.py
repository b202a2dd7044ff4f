"""Linear layers that initialization and cost treat separately."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.model.grouped_products import multiply_groups
from zoo.model.parameter_roles import Role


@final
class OutputLinear(nn.Linear):
    """Last linear layer of a sublayer, whose output is added to the residual stream; some initializations scale it."""


@final
class BatchedLinear(nn.Module):
    """Applies ``count`` linear layers of one shape, one for each expert: y[n] = x[n] W[n]ᵀ + b[n].

    Args:
        count: number of layers.
        inputs: input features.
        outputs: output features.
        bias: whether each has a bias.
        is_output: whether the output is added to the residual stream, as that of ``OutputLinear``.
    """

    roles: ClassVar[Mapping[str, Role]] = {"weight": "matrix", "bias": "vector"}

    def __init__(self, count: int, inputs: int, outputs: int, *, bias: bool = False, is_output: bool = False) -> None:
        super().__init__()
        self.count, self.is_output = count, is_output
        self.weight = nn.Parameter(torch.empty(count, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(count, outputs)) if bias else None
        nn.init.uniform_(self.weight, -(inputs**-0.5), inputs**-0.5)  # as nn.Linear

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[count, tokens, inputs]`` to ``[count, tokens, outputs]``."""
        y = torch.bmm(self.weight, x.mT).mT  # in this order, the gradient lies in memory as the weight does
        return y if self.bias is None else y + self.bias[:, None]

    def apply_groups(self, x: Tensor, groups: Tensor, ends: Tensor) -> Tensor:
        """Applies layer n to the rows of group n.

        Args:
            x: rows in the order of their groups ``[rows, inputs]``.
            groups: group of each row ``[rows]``.
            ends: index after the last row of each group, int32 ``[count]``.
        Returns:
            ``[rows, outputs]``.
        """
        y = multiply_groups(x, self.weight.mT, ends)
        return y if self.bias is None else y + self.bias.index_select(0, groups)
