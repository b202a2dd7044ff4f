"""Small initialization."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor, nn

from zoo.model.initialization import Initialization
from zoo.registry import register


@final
@register("initialization", "small", paper="arXiv:1910.05895")
class Small(Initialization):
    """Draws from a normal distribution with variance 2 / (5 dim), and output matrices with std 2 / (layers sqrt(dim)).

    Source: Nguyen and Salazar 2019, arXiv:1910.05895; output matrices as in Wang and Komatsuzaki 2021 (GPT-J) and
    GPT-NeoX, arXiv:2204.06745.
    """

    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a normal distribution with variance 2 / (5 dim)."""
        nn.init.normal_(weight, std=math.sqrt(2 / (5 * dim)))

    def initialize_table(self, weight: Tensor, dim: int) -> None:
        """Fills ``weight`` from a normal distribution with variance 2 / (5 dim)."""
        nn.init.normal_(weight, std=math.sqrt(2 / (5 * dim)))

    def compute_output_gain(self, layer: int, layers: int, sublayers: int) -> float:
        """Returns the factor that gives output matrices a standard deviation of 2 / (layers sqrt(dim))."""
        return math.sqrt(10) / layers  # 2 / (layers sqrt(dim)), over sqrt(2 / (5 dim))
