"""Maximal update parametrization (μP)."""

from __future__ import annotations

import math
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.checks import require
from zoo.model.initialization import Initialization, require_std
from zoo.model.parameter_roles import count_inputs, parameter_roles
from zoo.registry import register


@final
@register("initialization", "mup", paper="arXiv:2203.03466")
class MaximalUpdate(Initialization):
    """Scales first weights, learning rates, and logits so that a rate tuned at one width carries over to others.

    Matrices are normal with ``std * sqrt(base_dim / inputs)`` and a learning rate multiplied by ``base_dim / inputs``;
    tables and an untied head are normal with ``std``; logits are multiplied by ``base_dim / inputs`` of the head's
    matrix, as for Adam. Rates carry over as long as ``head_dim`` is held fixed and heads are added (else the scale of
    the scores should be proportional to 1 / head_dim). Every matrix gets its rate, those of recurrent networks and of
    objectives too, whose first values are their own; the matrix with which an objective reads scores out begins with
    ``std * base_dim / inputs``. What is not a linear map keeps its first values and its rate.

    Source: Yang et al. 2022, arXiv:2203.03466.

    Args:
        std: standard deviation at ``base_dim`` inputs.
        base_dim: number of inputs at which rates stay as they are: the ``dim`` that the learning rate was tuned at.
    Raises:
        Refused: if ``std`` is not above 0 and at most 1, or ``base_dim`` is not positive.
    """

    transfers_rates: ClassVar[bool] = True

    def __init__(self, *, std: float = 0.02, base_dim: int = 256) -> None:
        require_std(std)
        require(base_dim > 0, f"base_dim must be positive: got base_dim={base_dim}")
        self.std, self.base_dim = std, base_dim

    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        """Fill with normal numbers of ``std * sqrt(base_dim / inputs)``."""
        nn.init.normal_(weight, std=self.std * math.sqrt(self.compute_rate_factor(weight.shape[-1])))

    def initialize_table(self, weight: Tensor, dim: int) -> None:
        """Fill with normal numbers of ``std``."""
        nn.init.normal_(weight, std=self.std)

    def initialize_head(self, weight: Tensor, dim: int) -> None:
        """Fill as a table: its outputs do not grow in number with the width."""
        self.initialize_table(weight, dim)

    def initialize_readouts(self, module: nn.Module) -> None:
        """Fill readouts with normal numbers of ``std * base_dim / inputs``."""
        roles = parameter_roles(module)
        for name, inputs in count_inputs(module).items():
            if roles[name] == "readout":
                nn.init.normal_(module.get_parameter(name), std=self.std * self.compute_rate_factor(inputs))

    def compute_rate_factor(self, inputs: int) -> float:
        """Returns ``base_dim / inputs``."""
        return self.base_dim / inputs
