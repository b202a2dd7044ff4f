"""Vectors to logits over the vocabulary."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.embedding import Embedding
from zoo.interfaces import Norm


@final
class Head(nn.Module):
    """logits = transform(x) Wᵀ + bias.

    Args:
        dim: features per token.
        embedding: whose matrix is W, where they are tied.
        norm: the norm of the transform.
        tied: W is the embedding's matrix (Press and Wolf 2017, arXiv:1608.05859).
        bias: whether each token has a learned term.
        transform: whether x first goes through norm(gelu(linear(x))) (BERT, 2018).
    """

    def __init__(
        self,
        dim: int,
        embedding: Embedding,
        norm: Norm,
        *,
        tied: bool = True,
        bias: bool = False,
        transform: bool = False,
    ) -> None:
        super().__init__()
        vocabulary = embedding.table.num_embeddings
        self.weight = embedding.table.weight if tied else nn.Parameter(torch.empty(vocabulary, dim))
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if bias else None
        self.transform = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), norm) if transform else None

    def forward(self, x: Tensor) -> Tensor:
        """``[…, dim]`` to ``[…, vocabulary]``."""
        return F.linear(x if self.transform is None else self.transform(x), self.weight, self.bias)

    def flops(self, length: int) -> int:
        """Operations for ``length`` tokens."""
        transform = 0 if self.transform is None else 2 * self.weight.shape[1] ** 2
        return length * (2 * self.weight.numel() + transform)
