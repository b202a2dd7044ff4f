"""Xavier initialization."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from zoo.model.initialization import Initialization
from zoo.registry import register


@final
@register("initialization", "xavier")
class Xavier(Initialization):
    """Draws matrices from a uniform distribution with variance 2 / (inputs + outputs).

    Embedding tables are drawn from a normal distribution with variance 1 / width.

    Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks; tables
    as in Vaswani et al. 2017, arXiv:1706.03762.
    """

    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a uniform distribution with variance 2 / (inputs + outputs)."""
        nn.init.xavier_uniform_(weight)

    def initialize_table(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a normal distribution with variance 1 / width."""
        nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
