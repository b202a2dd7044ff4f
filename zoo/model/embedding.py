"""Token embeddings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

from torch import Tensor, nn

from zoo.checks import Refused, require, require_positive


@final
class Embedding(nn.Module):
    """Learned vectors of tokens, plus those of token types.

    Args:
        dim: features per token inside the model.
        vocabulary: vocabulary size.
        width: features of the vectors; each stack projects them to ``dim`` after positions, norm and dropout (the
            factorization of ALBERT, arXiv:1909.11942). None: ``dim``, without a projection.
        scaled: if true, vectors are multiplied by the square root of their width (Vaswani et al. 2017).
        token_types: number of token types, whose vectors are added (BERT, arXiv:1810.04805: 2 segments).
        shared: whether both stacks of an encoder-decoder use one embedding.
    Raises:
        Refused: if ``vocabulary`` or ``width`` is not positive, or ``token_types`` is negative.
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
        """Number of features of the vectors."""
        return self.table.embedding_dim

    def forward(self, tokens: Tensor, token_type: Tensor | None = None) -> Tensor:
        """Embeds tokens ``[batch, length]`` as vectors ``[batch, length, width]``.

        Args:
            tokens: token ids ``[batch, length]``.
            token_type: type of each token ``[batch, length]``; None: all have type 0.
        Raises:
            Refused: if ``token_type`` is given to an embedding without token types.
        """
        vectors: Tensor = self.table(tokens)
        vectors = vectors if self.scale == 1.0 else vectors * self.scale
        if self.types is None:
            if token_type is not None:
                raise Refused("token_type needs embedding.token_types of at least 1: got embedding.token_types=0")
            return vectors
        return vectors + (self.types.weight[0] if token_type is None else self.types(token_type))

    if TYPE_CHECKING:
        __call__ = forward
