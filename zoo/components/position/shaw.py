"""Relative position embeddings of keys."""

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
    """Relative position embedding of Shaw et al.: adds q_i · a[j - i] / √head_dim to the score of query i and key j.

    This equals adding a learned vector a of the distance to each key. All heads share the vectors, and so do all layers
    with the same position component (in the paper each layer has its own). The paper's vectors for values are omitted:
    it found those for keys sufficient for translation (section 4.3).

    Args:
        dim: unused.
        heads: number of heads.
        head_dim: features per head, which is the width of the vectors and must be that of the queries.
        causal: unused, since a prefix lets tokens see later keys in causal stacks too.
        clip: largest distance with a vector of its own; larger distances are clipped to it.
    Raises:
        Refused: if ``clip`` is not positive.
    Source: Shaw et al. 2018.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool, *, clip: int = 16) -> None:
        super().__init__()
        require_positive("clip", clip)
        self.heads, self.head_dim, self.clip = heads, head_dim, clip
        self.table = nn.Embedding(2 * clip + 1, head_dim)

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Returns ``[batch, heads, query, key]``.

        Raises:
            Refused: if the width of the queries is not ``head_dim``.
        """
        require(
            q.shape[-1] == self.head_dim,
            f"queries must be head_dim wide for position shaw: got width={q.shape[-1]}, head_dim={self.head_dim}",
        )
        offsets = (key_positions[:, None, :] - query_positions[:, :, None]).clamp(-self.clip, self.clip)
        # Multiplying by all 2 * clip + 1 vectors and gathering one product per pair avoids a tensor
        # [query, key, head_dim] of vectors.
        products = (q @ self.table.weight.to(q.dtype).T) / math.sqrt(self.head_dim)
        index = (offsets + self.clip)[:, None].expand(q.shape[0], q.shape[1], -1, -1)
        return products.gather(-1, index)

    def flops(self, mask: Mask) -> int:
        """Counts the products of each query with the vectors of the distances at which it sees keys."""
        i, j = mask.query.index, mask.key.index
        behind = (i - int(j[0])).clamp(0, self.clip)
        ahead = 0 if mask.causal else (int(j[-1]) - i).clamp(0, self.clip)
        vectors = int((behind + ahead + 1).sum())
        return 2 * vectors * self.heads * self.head_dim
