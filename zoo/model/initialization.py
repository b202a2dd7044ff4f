"""Interface of initializations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from zoo.checks import require


class Initialization(ABC):
    """Base class of initializations: initial values of matrices, embedding tables and the matrix of an untied head.

    Biases start at zero, and vectors (gains of norms, gates, decay rates) keep the values that their component gave
    them. An initialization draws from torch's global generator in the order of the calls.
    """

    transfers_rates: ClassVar[bool] = False
    """Whether a learning rate that was tuned at one width transfers to others; ``zoo check`` then compares widths, for
    every component and every objective."""

    @abstractmethod
    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        """Fills the weight ``[outputs, inputs]`` of a linear layer in a model with ``dim`` features."""

    @abstractmethod
    def initialize_table(self, weight: Tensor, dim: int) -> None:
        """Fills a table ``[vectors, width]`` with one vector for each token or position."""

    def initialize_head(self, weight: Tensor, dim: int) -> None:
        """Fills the matrix ``[vocabulary, dim]`` of an untied head; by default like any other matrix."""
        self.initialize_matrix(weight, dim)

    def initialize_readouts(self, module: nn.Module) -> None:  # noqa: B027 (neutral)
        """Fills the matrices of an objective that compute scores; by default they keep their values."""

    def compute_output_gain(self, layer: int, layers: int, sublayers: int) -> float:
        """Returns the factor of the matrices whose outputs are added to the residual stream; by default 1.

        Args:
            layer: index of the layer, from 0.
            layers: number of layers of the stack.
            sublayers: number of sublayers of all layers of the stack.
        """
        return 1.0

    def compute_rate_factor(self, inputs: int) -> float:
        """Returns the factor of a matrix's learning rate, and of the logits of a head, with ``inputs`` inputs."""
        return 1.0


def require_std(std: float) -> None:
    """Raises Refused unless the standard deviation of initial weights is above 0 and at most 1."""
    require(0 < std <= 1, f"std must be above 0 and at most 1: got std={std}")
