"""Block-local attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

from zoo.checks import require_between, require_positive
from zoo.components.attention._dot_product import Bias, DotProductAttention
from zoo.model.attend import Scores
from zoo.model.cache import Cache
from zoo.model.interfaces import Norm
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

    def restrict(self, mask: Mask) -> Mask:
        """Restricts the mask to keys at most ``look_back`` blocks away, and to the window."""
        return super().restrict(mask).restrict_blocks(self.block, self.look_back)

    def create_cache(self, capacity: int) -> Cache:
        """Returns an empty cache for the blocks that a token sees, or for the window if that is smaller."""
        return Cache(min(super().create_cache(capacity).capacity, (self.look_back + 1) * self.block))
