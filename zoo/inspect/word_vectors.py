"""View of word vectors: neighbors of a token, arithmetic with words, and a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Neighbor:
    """A token and its cosine with a vector.

    Args:
        id: the token.
        cosine: cosine of the angle between the centered vectors.
    """

    id: int
    cosine: float


class WordVectors:
    """Vectors of tokens, less their mean, which is a direction that all have in common (arXiv:1702.01417).

    Args:
        table: weights of an embedding ``[vocabulary, width]``.
        excluded: tokens that are no words, such as special tokens; they are never neighbors.
    """

    def __init__(self, table: Tensor, excluded: Sequence[int] = ()) -> None:
        table = table.detach().float()
        self._mean = table.mean(dim=0)
        self._table = table
        self._directions = F.normalize(table - self._mean, dim=-1)
        self._excluded = list(excluded)

    def compute_vector(self, ids: Sequence[int]) -> Tensor:
        """Computes the vector of a word, the mean over its tokens ``[width]``, centered."""
        return self._table[list(ids)].mean(dim=0) - self._mean

    def find_neighbors(self, vector: Tensor, count: int, without: Sequence[int] = ()) -> list[Neighbor]:
        """Finds the tokens with the largest cosine.

        Args:
            vector: a centered vector ``[width]``.
            count: number of tokens to find.
            without: tokens that are not searched, such as the word itself.
        """
        cosines = self._directions @ F.normalize(vector, dim=0)
        cosines[[*self._excluded, *without]] = -torch.inf
        best = cosines.topk(min(count, int(cosines.isfinite().sum())))
        return [Neighbor(*each) for each in zip(best.indices.tolist(), best.values.tolist(), strict=True)]

    def combine(self, a: Sequence[int], b: Sequence[int], c: Sequence[int]) -> Tensor:
        """Computes a - b + c of the directions of words of one or more tokens each ``[width]``.

        Source: Mikolov et al. 2013 (arXiv:1301.3781).
        """
        a_direction, b_direction, c_direction = (F.normalize(self.compute_vector(ids), dim=0) for ids in (a, b, c))
        return a_direction - b_direction + c_direction

    def solve_analogy(self, a: Sequence[int], b: Sequence[int], c: Sequence[int], count: int) -> list[Neighbor]:
        """Finds the tokens nearest to a - b + c; those of the three words are not among the answers."""
        return self.find_neighbors(self.combine(a, b, c), count, without=[*a, *b, *c])


def project_to_plane(vectors: Tensor) -> Tensor:
    """Projects vectors ``[count, width]`` to their two principal components ``[count, 2]``.

    The largest coordinate of each axis is positive, so that equal vectors give equal maps.
    """
    centered = vectors - vectors.mean(dim=0)
    _, _, axes = torch.linalg.svd(centered.double(), full_matrices=False)
    found = F.pad(centered.double() @ axes[:2].mT, (0, max(0, 2 - len(axes))))
    largest = found.gather(0, found.abs().argmax(dim=0, keepdim=True))
    return found * torch.where(largest < 0, -1.0, 1.0)
