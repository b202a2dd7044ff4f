"""Maximal update parametrization (μP)."""

from __future__ import annotations

import math
from typing import ClassVar, final

from torch import Tensor, nn

from zoo.checks import require
from zoo.model.initialization import Initialization, require_std
from zoo.model.parameter_roles import count_inputs, get_parameter_roles
from zoo.registry import register


@final
@register("initialization", "mup", paper="arXiv:2203.03466")
class MaximalUpdate(Initialization):
    """Scales initial weights, learning rates and logits so that a learning rate transfers across model widths.

    The rules are those for Adam. A matrix is drawn from a normal distribution with standard deviation
    ``std * sqrt(base_dim / inputs)``, and its learning rate is multiplied by ``base_dim / inputs``. Embedding tables
    and an untied head are drawn with standard deviation ``std``. Logits are multiplied by ``base_dim / inputs``, with
    the inputs of the head's matrix. The learning rate transfers if ``head_dim`` is held fixed and the number of heads
    grows (otherwise, attention scores should be scaled in proportion to 1 / head_dim).

    Matrices of recurrent networks and of objectives keep their own initial values, but their learning rates are scaled
    too. The output matrix of an objective is drawn with standard deviation ``std * base_dim / inputs``. Parameters that
    are not matrices of linear maps keep their initial values and their learning rate.

    Source: Yang et al. 2022, arXiv:2203.03466.

    Args:
        std: standard deviation at ``base_dim`` inputs.
        base_dim: number of inputs at which the learning rate is unchanged: the ``dim`` at which it was tuned.
    Raises:
        Refused: if ``std`` is not above 0 and at most 1, or ``base_dim`` is not positive.
    """

    transfers_rates: ClassVar[bool] = True

    def __init__(self, *, std: float = 0.02, base_dim: int = 256) -> None:
        require_std(std)
        require(base_dim > 0, f"base_dim must be positive: got base_dim={base_dim}")
        self.std, self.base_dim = std, base_dim

    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a normal distribution with standard deviation ``std * sqrt(base_dim / inputs)``."""
        nn.init.normal_(weight, std=self.std * math.sqrt(self.compute_rate_factor(weight.shape[-1])))

    def initialize_table(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a normal distribution with standard deviation ``std``."""
        nn.init.normal_(weight, std=self.std)

    def initialize_head(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` like a table, since the number of its outputs does not grow with the width."""
        self.initialize_table(weight, dim)

    def initialize_readouts(self, module: nn.Module) -> None:
        """Fills readouts from a normal distribution with standard deviation ``std * base_dim / inputs``."""
        roles = get_parameter_roles(module)
        for name, inputs in count_inputs(module).items():
            if roles[name] == "readout":
                nn.init.normal_(module.get_parameter(name), std=self.std * self.compute_rate_factor(inputs))

    def compute_rate_factor(self, inputs: int) -> float:
        """Returns ``base_dim / inputs``."""
        return self.base_dim / inputs
