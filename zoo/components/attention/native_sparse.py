"""Native sparse attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require, require_divides, require_positive
from zoo.components.attention._blocks import Blocks, Summary
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.model.attend import Scores, attend, compute_scores
from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.projections import OutputLinear
from zoo.registry import register

BRANCHES = 3


@final
@register("attention", "native_sparse", paper="arXiv:2502.11089")
class NativeSparseAttention(Attention):
    """Native sparse attention (NSA): gated sum of attention to block summaries, to selected blocks and to a window.

    The output is g₁ a₁ + g₂ a₂ + g₃ a₃. The three branches have separate keys and values, and each head has a gate
    g = sigmoid(w x) for each branch. Blocks do not overlap. A query selects the blocks whose summaries get the largest
    weights, summed over the heads that share keys; its own block is always visible. This is the plain form of the
    computation: it masks query-key pairs and saves no time.

    Args:
        dim: features per token.
        heads: number of query heads.
        head_dim: features per head; ``heads * head_dim`` may differ from ``dim``.
        norm: unused.
        kv_heads: number of key and value heads; divides ``heads``.
        block: tokens in a block; blocks are counted from the start of each document.
        keep: number of blocks that a query selects besides its own.
        window: number of last tokens in the third branch, the current one included.
    Raises:
        Refused: if ``kv_heads`` does not divide ``heads``, ``block`` or ``keep`` is not positive, or
            ``window`` is less than 2.
    Source: Yuan et al. 2025.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "packed"})
    position_hooks: ClassVar[frozenset[str]] = frozenset({"rotate", "bias"})

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        kv_heads: int = 2,
        block: int = 4,
        keep: int = 8,
        window: int = 32,
    ) -> None:
        super().__init__()
        require_divides("kv_heads", kv_heads, "heads", heads)
        for name, size in (("block", block), ("keep", keep)):
            require_positive(name, size)
        require(window > 1, f"window must be at least 2, the current token and another one: got window={window}")
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.block, self.keep, self.window = block, keep, window
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.key = nn.Linear(dim, BRANCHES * kv_heads * head_dim, bias=False)
        self.value = nn.Linear(dim, BRANCHES * kv_heads * head_dim, bias=False)
        self.gate = nn.Linear(dim, BRANCHES * heads, bias=False)
        self.output = OutputLinear(heads * head_dim, dim, bias=False)
        self.key_summary, self.value_summary = Summary(block, head_dim), Summary(block, head_dim)

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        q = split_heads(self.query(x), self.heads)  # [batch, heads, query, head_dim]
        # [batch, BRANCHES * kv_heads, key, head_dim]
        k, v = (split_heads(part(memory), BRANCHES * self.kv_heads) for part in (self.key, self.value))
        q = position.rotate_queries(q, mask.query.position)
        rotated = position.rotate_keys(k[:, self.kv_heads :], mask.key.position)
        k = torch.cat([k[:, : self.kv_heads], rotated], dim=1)  # summaries are computed from keys without rotation
        if cache is not None:
            (k, v), mask = cache.extend((k, v), mask)
        (k1, k2, k3), (v1, v2, v3) = k.chunk(BRANCHES, dim=1), v.chunk(BRANCHES, dim=1)
        blocks = Blocks.from_tokens(mask.key, self.block)
        block_mask, visible = blocks.mask(mask)
        k1 = position.rotate_keys(self.key_summary(k1, blocks), block_mask.key.position)
        selected = self._select_tokens(q, k1, mask, block_mask, visible, blocks, position)
        mixed = [
            attend(q, k1, self.value_summary(v1, blocks), block_mask, position, Scores(), allowed=visible[:, None]),
            attend(q, k2, v2, mask, position, Scores(), allowed=selected),
            attend(q, k3, v3, mask, position, Scores(window=self.window)),
        ]
        # From [batch, query, BRANCHES, heads] to [BRANCHES, batch, heads, query].
        gates = self.gate(x).sigmoid().unflatten(-1, (BRANCHES, self.heads)).permute(2, 0, 3, 1)
        output: Tensor = self.output(merge_heads((gates[..., None] * torch.stack(mixed)).sum(dim=0)))
        return output

    @torch.no_grad()
    def _select_tokens(
        self, q: Tensor, k: Tensor, mask: Mask, block_mask: Mask, visible: Tensor, blocks: Blocks, position: Position
    ) -> Tensor:
        """Selects the tokens that each query sees in the second branch.

        Args:
            q: queries ``[batch, heads, query, head_dim]``.
            k: summaries of the keys of each block, ``[batch, kv_heads, blocks, head_dim]``.
            mask: mask over tokens.
            block_mask: mask over blocks.
            visible: which blocks each query sees, ``[batch or 1, query, blocks]``.
            blocks: blocks of the keys.
            position: hooks of the position component.
        Returns:
            bool ``[batch, heads, query, key]``.
        """
        count, group = blocks.end.shape[1], self.heads // self.kv_heads
        logits = compute_scores(q, k, block_mask, position, Scores())  # [batch, heads, query, blocks]
        weights = logits.masked_fill(~visible[:, None], torch.finfo(q.dtype).min).softmax(dim=-1)
        # Heads that share keys select together: [batch, kv_heads, query, blocks].
        weights = weights.view(len(q), self.kv_heads, group, *weights.shape[2:]).sum(dim=2)
        candidates = (visible & ~self._is_own_block(block_mask))[:, None]
        best = weights.masked_fill(~candidates, -1.0).topk(min(self.keep, count), dim=-1).indices
        selected = torch.zeros_like(weights, dtype=torch.bool).scatter(-1, best, value=True) & candidates
        # From blocks to their tokens; column count, False, is for tokens outside of any block.
        index = blocks.index[:, None, None].expand(*selected.shape[:3], -1)
        tokens = F.pad(selected, (0, 1)).gather(-1, index) | self._is_own_block(mask)[:, None]
        return tokens.repeat_interleave(group, dim=1)

    def _is_own_block(self, mask: Mask) -> Tensor:
        """True where query and key have the same block number in their documents, ``[batch or 1, query, key]``."""
        return mask.query.position[:, :, None] // self.block == mask.key.position[:, None] // self.block

    def flops(self, mask: Mask) -> int:
        """Counts the projections, the summaries, and the visible pairs of the three branches."""
        per_query = sum(count_linear_flops(part) for part in (self.query, self.gate, self.output))
        per_key = count_linear_flops(self.key) + count_linear_flops(self.value)
        per_block = self.kv_heads * (count_linear_flops(self.key_summary) + count_linear_flops(self.value_summary))
        blocks = Blocks.from_tokens(mask.key, self.block)
        block_mask, visible = blocks.mask(mask)
        selected = (visible & ~self._is_own_block(block_mask)).sum(dim=-1).clamp(max=self.keep)
        tokens = int(selected.sum()) * self.block + int((self._is_own_block(mask) & mask.materialize()).sum())
        pairs = 4 * (int(visible.sum()) + tokens + mask.restrict_window(self.window).count_pairs())
        total = per_query * mask.query.length + per_key * mask.key.length + per_block * blocks.end.shape[1]
        return total + self.heads * self.head_dim * pairs

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Yields the value projection, the value summary and the output projection (DeepNorm)."""
        yield from (self.value.weight, self.value_summary.up.weight, self.value_summary.down.weight)
        yield self.output.weight
