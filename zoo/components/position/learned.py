"""Learned positions."""

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
    """x + a learned vector for each position.

    Args:
        dim: features per token.
        heads: not used.
        head_dim: not used.
        causal: not used.
        length: positions that have a vector.
        offset: rows of the table before that of position 0. It exists for the weights of published systems, whose
            tables begin with rows that no token uses (BART and RoBERTa: 2).
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
        """Add the vectors to ``[batch, length, dim]``.

        Raises:
            Refused: if a position has no vector; on accelerators the look-up itself fails.
        """
        # To look at values would make an accelerator wait for them, and a compiler cannot.
        if positions.device.type == "cpu" and positions.numel() and not torch.compiler.is_compiling():
            largest = int(positions.max())
            if largest >= self.table.num_embeddings - self.offset:
                raise Refused(f"position learned has length={self.limit}: got a token at position {largest}")
        vectors: Tensor = self.table(positions + self.offset)
        return x + vectors
