"""Normal initialization."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from zoo.model.initialization import Initialization, require_std
from zoo.registry import register


@final
@register("initialization", "normal")
class Normal(Initialization):
    """Draws all matrices and embedding tables from a normal distribution.

    Source: Radford et al. 2018, Improving Language Understanding by Generative Pre-Training (GPT).

    Args:
        std: standard deviation.
    Raises:
        Refused: if ``std`` is not above 0 and at most 1.
    """

    def __init__(self, *, std: float = 0.02) -> None:
        require_std(std)
        self.std = std

    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a normal distribution with standard deviation ``std``."""
        nn.init.normal_(weight, std=self.std)

    def initialize_table(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a normal distribution with standard deviation ``std``."""
        nn.init.normal_(weight, std=self.std)
