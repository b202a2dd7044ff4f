"""Learned positions."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from zoo.checks import Refused, require_positive
from zoo.interfaces import Position
from zoo.registry import register


@final
@register("position", "learned", paper="arXiv:1705.03122")
class Learned(Position):
    """x + a learned vector for each position.

    Args:
        dim: features per token.
        heads: not used.
        head_dim: not used.
        causal: not used.
        length: positions that have a vector.
    Source: Gehring et al. 2017.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool, *, length: int = 512) -> None:
        super().__init__()
        require_positive("length", length)
        self.limit = length
        self.table = nn.Embedding(length, dim)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Add the vectors to ``[batch, length, dim]``.

        Raises:
            Refused: if a row is longer than the table.
        """
        if positions.shape[-1] > self.table.num_embeddings:
            raise Refused(f"position learned has length={self.table.num_embeddings}: got {positions.shape[-1]} tokens")
        vectors: Tensor = self.table(positions)
        return x + vectors
