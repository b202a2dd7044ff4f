"""Tokens to vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

from torch import Tensor, nn

from zoo.checks import Refused, require, require_positive


@final
class Embedding(nn.Module):
    """One learned vector for each token, and one for each token type.

    Args:
        dim: features per token inside the model.
        vocabulary: tokens.
        width: features of the vectors; each stack maps them to ``dim`` after positions, norm and dropout (the
            factorisation of ALBERT, arXiv:1909.11942). None: ``dim``, and no map.
        scaled: vectors are multiplied with the root of their width (Vaswani et al. 2017).
        token_types: how many types of token have a vector that is added (BERT, arXiv:1810.04805: 2 segments).
        shared: whether the two stacks of an encoder-decoder read with one embedding, or each with its own.
    """

    def __init__(
        self,
        dim: int,
        vocabulary: int,
        *,
        width: int | None = None,
        scaled: bool = False,
        token_types: int = 0,
        shared: bool = True,
    ) -> None:
        super().__init__()
        require_positive("vocabulary", vocabulary)
        require(width is None or width > 0, f"width must be positive: got width={width}")
        require(token_types >= 0, f"token_types must not be negative: got token_types={token_types}")
        self.dim, self.shared = dim, shared
        self.table = nn.Embedding(vocabulary, dim if width is None else width)
        self.types = nn.Embedding(token_types, self.width) if token_types else None
        self.scale = math.sqrt(self.width) if scaled else 1.0

    @property
    def width(self) -> int:
        """Features of a vector."""
        return self.table.embedding_dim

    def forward(self, tokens: Tensor, token_type: Tensor | None = None) -> Tensor:
        """``[batch, length]`` to ``[batch, length, width]``; without ``token_type`` all tokens are of the first.

        Raises:
            Refused: if there are types of token, but no vectors for them.
        """
        vectors: Tensor = self.table(tokens)
        vectors = vectors if self.scale == 1.0 else vectors * self.scale
        if self.types is None:
            if token_type is not None:
                raise Refused("a model with embedding.token_types=0 reads no token_type: got one")
            return vectors
        return vectors + (self.types.weight[0] if token_type is None else self.types(token_type))

    if TYPE_CHECKING:
        __call__ = forward
