"""Relative position vectors."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor, nn

from zoo.checks import require, require_positive
from zoo.model.interfaces import Position
from zoo.model.mask import Mask
from zoo.registry import register


@final
@register("position", "shaw", paper="arXiv:1803.02155")
class Shaw(Position):
    """Add q · a[j - i] / √head_dim to each score, as if each key had a learned vector of its distance added.

    All heads share the vectors, and so do all layers that have the same position (the paper's layers have their own).
    The paper's vectors for values are left out: it found those of keys to suffice for translation (section 4.3).

    Args:
        dim: not used.
        heads: heads.
        head_dim: features per head; queries must have this width.
        causal: not used; with a prefix, keys may come later in causal stacks too.
        clip: distances beyond it count as ``clip``.
    Source: Shaw et al. 2018.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool, *, clip: int = 16) -> None:
        super().__init__()
        require_positive("clip", clip)
        self.heads, self.head_dim, self.clip = heads, head_dim, clip
        self.table = nn.Embedding(2 * clip + 1, head_dim)

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """``[batch, heads, query, key]``.

        Raises:
            Refused: if the attention's queries do not have the width of the vectors.
        """
        require(
            q.shape[-1] == self.head_dim,
            f"position shaw needs queries of width head_dim: got width={q.shape[-1]}, head_dim={self.head_dim}",
        )
        ahead = (key_positions[:, None, :] - query_positions[:, :, None]).clamp(-self.clip, self.clip)
        # Products with all vectors, of which each pair takes one: vectors of pairs would be head_dim times as much.
        products = (q @ self.table.weight.to(q.dtype).T) / math.sqrt(self.head_dim)
        number = (ahead + self.clip)[:, None].expand(q.shape[0], q.shape[1], -1, -1)
        return products.gather(-1, number)

    def flops(self, mask: Mask) -> int:
        """Products of each query with the vectors of the distances at which it sees keys."""
        i, j = mask.query.index, mask.key.index
        furthest = (i - int(j[0])).clamp(0, self.clip)
        ahead = 0 if mask.causal else (int(j[-1]) - i).clamp(0, self.clip)
        vectors = int((furthest + ahead + 1).sum())
        return 2 * vectors * self.heads * self.head_dim
