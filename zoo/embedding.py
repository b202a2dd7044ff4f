"""Tokens to vectors."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor, nn

from zoo.checks import require_positive


@final
class Embedding(nn.Module):
    """One learned vector for each token.

    Args:
        dim: features per token.
        vocabulary: tokens.
        scaled: vectors are multiplied with √dim (Vaswani et al. 2017).
    """

    def __init__(self, dim: int, vocabulary: int, *, scaled: bool = False) -> None:
        super().__init__()
        require_positive("vocabulary", vocabulary)
        self.table = nn.Embedding(vocabulary, dim)
        self.scale = math.sqrt(dim) if scaled else 1.0

    def forward(self, tokens: Tensor) -> Tensor:
        """``[batch, length]`` to ``[batch, length, dim]``."""
        vectors: Tensor = self.table(tokens)
        return vectors if self.scale == 1.0 else vectors * self.scale
