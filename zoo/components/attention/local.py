"""Block-local attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
from torch import Tensor

from zoo.checks import require_between, require_positive
from zoo.components.attention._projected import Bias, DotProductAttention
from zoo.model.attend import Scores
from zoo.model.cache import Cache
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.registry import register


@final
@register("attention", "local", paper="arXiv:1802.05751")
class LocalAttention(DotProductAttention):
    """Softmax attention of a document cut into blocks: tokens see their own block and the nearest others.

    Args:
        dim: features per token.
        heads: heads.
        head_dim: features per head; heads * head_dim need not be dim.
        norm: not used.
        block: tokens in a block, counted from the start of a document.
        look_back: how many blocks before the own one are seen, and after it where tokens see both ways.
        bias: which projections have biases: none, those of queries, keys and values, or all.
        scores: window, soft-cap, scale, dropout, sinks.
    Raises:
        Refused: if ``block`` is not positive, or ``look_back`` negative.
    Source: Parmar et al. 2018 (Image Transformer).
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "packed"})

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        block: int = 64,
        look_back: int = 1,
        bias: Bias = "none",
        scores: Scores = Scores(),
    ) -> None:
        super().__init__(dim, heads, head_dim, norm, heads, bias, scores)
        require_positive("block", block)
        require_between("look_back", look_back, 0, float("inf"))
        self.block, self.look_back = block, look_back

    def allowed(self, q: Tensor, k: Tensor, mask: Mask, position: Position) -> Tensor:
        """Pairs whose blocks are near: ``[batch or 1, 1, query, key]``."""
        return self._near(mask)[:, None]

    def _near(self, mask: Mask) -> Tensor:
        own, other = mask.query.position // self.block, mask.key.position // self.block
        return (own[:, :, None] - other[:, None, :]).abs() <= self.look_back

    def count_pairs(self, mask: Mask) -> int:
        """How many query-key pairs are seen in all rows; without a matrix where a row is one document."""
        mask = mask.restrict_window(self.scores.window)
        i, j = mask.query.index, mask.key.index
        plain = mask.prefix is None and mask.key.length > 0
        for tokens in (mask.query, mask.key):
            plain &= tokens.segment is None and torch.equal(tokens.position, tokens.index[None])
        if not plain or not torch.equal(j, torch.arange(int(j[0]), int(j[0]) + len(j))):
            return int((mask.materialize() & self._near(mask)).sum())
        low = (i // self.block - self.look_back) * self.block
        high = (i // self.block + self.look_back + 1) * self.block - 1
        if mask.causal:
            high = torch.minimum(high, i)
        if mask.window is not None:
            low, high = torch.maximum(low, i - mask.window + 1), torch.minimum(high, i + mask.window - 1)
        return int((high.clamp(max=int(j[-1])) - low.clamp(min=int(j[0])) + 1).clamp(min=0).sum())

    def create_cache(self, capacity: int) -> Cache:
        """Keys and values of the blocks that a token sees, or of the window if that is less."""
        return Cache(min(super().create_cache(capacity).capacity, (self.look_back + 1) * self.block))
