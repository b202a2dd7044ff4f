"""The interface of initializations, and how one is applied to a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from zoo.checks import require


class Initialization(ABC):
    """Base of initializations: first values of matrices, of tables of embeddings, and of the matrix of an untied head.

    Biases begin at zero, and vectors (gains of norms, gates, decay rates) keep what their component gave them. An
    initialization draws from torch's generator, in the order in which it is asked.
    """

    transfers_rates: ClassVar[bool] = False
    """True if a learning rate that was tuned at one width carries over to others; ``zoo check`` then compares widths,
    for every component and every objective."""

    @abstractmethod
    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        """Fill the weights ``[outputs, inputs]`` of a linear map in a model of ``dim`` features."""

    @abstractmethod
    def initialize_table(self, weight: Tensor, dim: int) -> None:
        """Fill a table ``[vectors, width]`` of one vector for each token, or for each place."""

    def initialize_head(self, weight: Tensor, dim: int) -> None:
        """Fill the matrix ``[vocabulary, dim]`` of an untied head; here: as any other matrix."""
        self.initialize_matrix(weight, dim)

    def initialize_readouts(self, module: nn.Module) -> None:  # noqa: B027 (neutral)
        """Fill the matrices with which an objective reads scores out; here: they keep the values they have."""

    def compute_output_gain(self, layer: int, layers: int, sublayers: int) -> float:
        """Returns the factor of the matrices whose results join the residual stream; here: 1.

        Args:
            layer: its number, from 0.
            layers: of the stack.
            sublayers: of all layers of the stack together.
        """
        return 1.0

    def compute_rate_factor(self, inputs: int) -> float:
        """Returns the factor of the learning rate of a matrix, and of the logits of a head, with ``inputs`` inputs."""
        return 1.0


def require_std(std: float) -> None:
    """Refuse a standard deviation of first weights that is not above 0 and at most 1."""
    require(0 < std <= 1, f"std must be above 0 and at most 1: got std={std}")
