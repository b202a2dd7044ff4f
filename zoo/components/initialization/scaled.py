"""Scaled initialization."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor, nn

from zoo.model.initialization import Initialization
from zoo.registry import register


@final
@register("initialization", "scaled", paper="arXiv:1908.11365")
class Scaled(Initialization):
    """Draws matrices with variance 1 / inputs, and divides the output matrices of the l-th layer by sqrt(2 l).

    Matrices are drawn from a normal distribution truncated at three standard deviations, embedding tables from a normal
    distribution with variance 1 / width.

    Source: Zhang et al. 2019, arXiv:1908.11365, as in OLMo, arXiv:2402.00838.
    """

    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a normal distribution with variance 1 / inputs, truncated at three deviations."""
        std = weight.shape[-1] ** -0.5
        nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std)

    def initialize_table(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a normal distribution with variance 1 / width."""
        nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)

    def compute_output_gain(self, layer: int, layers: int, sublayers: int) -> float:
        """Returns 1 / sqrt(2 l) for the l-th layer, counted from 1."""
        return 1 / math.sqrt(2 * (layer + 1))
