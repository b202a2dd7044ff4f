"""Initialization of GPT-2."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor, nn

from zoo.model.initialization import Initialization, require_std
from zoo.registry import register


@final
@register("initialization", "gpt2")
class Gpt2(Initialization):
    """Draws from a normal distribution, and divides the output matrices of sublayers by √(number of sublayers).

    The variance of the residual stream then does not grow with the number of layers.

    Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2).

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

    def compute_output_gain(self, layer: int, layers: int, sublayers: int) -> float:
        """Returns 1 / sqrt(sublayers)."""
        return 1 / math.sqrt(sublayers)
