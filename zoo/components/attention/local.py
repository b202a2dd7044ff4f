"""Block-local attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
from torch import Tensor

from zoo.checks import require_between, require_positive
from zoo.components.attention._dot_product import Bias, DotProductAttention
from zoo.model.attend import Scores
from zoo.model.cache import Cache
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask
from zoo.registry import register


@final
@register("attention", "local", paper="arXiv:1802.05751")
class LocalAttention(DotProductAttention):
    """Block-local attention: softmax attention of tokens to their own block of a document and to the nearest blocks.

    Args:
        dim: features per token.
        heads: number of heads.
        head_dim: features per head; ``heads * head_dim`` may differ from ``dim``.
        norm: unused.
        block: tokens in a block; blocks are counted from the start of each document.
        look_back: number of earlier blocks that are visible; in bidirectional attention, of later blocks too.
        bias: projections with a bias: ``none``, those of queries, keys and values (``qkv``), or ``all``.
        scores: window, soft-cap, scale, dropout and sinks.
    Raises:
        Refused: if ``block`` is not positive, or ``look_back`` is negative.
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

    def select_keys(self, q: Tensor, k: Tensor, mask: Mask, position: Position) -> Tensor:
        """Selects keys at most ``look_back`` blocks away, ``[batch or 1, 1, query, key]``."""
        return self._compare_blocks(mask)[:, None]

    def _compare_blocks(self, mask: Mask) -> Tensor:
        """True where query and key are at most ``look_back`` blocks apart, ``[batch or 1, query, key]``."""
        query, key = mask.query.position // self.block, mask.key.position // self.block
        return (query[:, :, None] - key[:, None, :]).abs() <= self.look_back

    def count_pairs(self, mask: Mask) -> int:
        """Counts the visible query-key pairs of all rows, without a matrix if each row is one document."""
        mask = mask.restrict_window(self.scores.window)
        i, j = mask.query.index, mask.key.index
        is_plain = mask.prefix is None and mask.key.length > 0
        for tokens in (mask.query, mask.key):
            is_plain &= tokens.segment is None and torch.equal(tokens.position, tokens.index[None])
        if not is_plain or not torch.equal(j, torch.arange(int(j[0]), int(j[0]) + len(j))):
            return int((mask.materialize() & self._compare_blocks(mask)).sum())
        # Query i sees the keys low[i] to high[i].
        low = (i // self.block - self.look_back) * self.block
        high = (i // self.block + self.look_back + 1) * self.block - 1
        if mask.causal:
            high = torch.minimum(high, i)
        if mask.window is not None:
            low, high = torch.maximum(low, i - mask.window + 1), torch.minimum(high, i + mask.window - 1)
        return int((high.clamp(max=int(j[-1])) - low.clamp(min=int(j[0])) + 1).clamp(min=0).sum())

    def create_cache(self, capacity: int) -> Cache:
        """Returns an empty cache for the blocks that a token sees, or for the window if that is smaller."""
        return Cache(min(super().create_cache(capacity).capacity, (self.look_back + 1) * self.block))
