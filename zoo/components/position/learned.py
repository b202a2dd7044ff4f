"""Learned position embeddings."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from zoo.checks import Refused, require, require_positive
from zoo.model.interfaces import Position
from zoo.registry import register


@final
@register("position", "learned", paper="arXiv:1705.03122")
class Learned(Position):
    """Absolute position embedding: adds a learned vector of each position to the token embeddings.

    Args:
        dim: features per token.
        heads: unused.
        head_dim: unused.
        causal: unused.
        length: number of positions that have a vector.
        offset: number of rows of the table before that of position 0. Tables of some published models start with rows
            that no token uses (2 in BART and RoBERTa).
    Raises:
        Refused: if ``length`` is not positive or ``offset`` is negative.
    Source: Gehring et al. 2017.
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, causal: bool, *, length: int = 512, offset: int = 0
    ) -> None:
        super().__init__()
        require_positive("length", length)
        require(offset >= 0, f"offset must not be negative: got offset={offset}")
        self.limit, self.offset = length, offset
        self.table = nn.Embedding(length + offset, dim)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Adds the vectors of ``positions`` to ``x`` ``[batch, length, dim]``.

        Raises:
            Refused: if a position has no vector. On accelerators the embedding lookup fails instead.
        """
        # Reading a value synchronizes an accelerator, and torch.compile cannot branch on it.
        if positions.device.type == "cpu" and positions.numel() and not torch.compiler.is_compiling():
            largest = int(positions.max())
            if largest >= self.table.num_embeddings - self.offset:
                raise Refused(
                    f"learned positions must be below length: got length={self.limit} and a token at position {largest}"
                )
        vectors: Tensor = self.table(positions + self.offset)
        return x + vectors
