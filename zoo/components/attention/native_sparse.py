"""Natively trained sparse attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require, require_divides, require_positive
from zoo.model.attend import Scores, attend, compute_scores
from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Norm, Position, count_linear_flops
from zoo.model.mask import Mask, Tokens
from zoo.model.projections import OutputLinear
from zoo.registry import register

BRANCHES = 3


@dataclass(frozen=True)
class Blocks:
    """The whole blocks in a row of documents, in order; there is room for ``length // block`` of them.

    Args:
        end: where in the row the last token of each stands, -1 where there are fewer ``[batch or 1, blocks]``.
        home: the block that each token lies in, the number of blocks if none ``[batch or 1, length]``.
    """

    end: Tensor
    home: Tensor

    @classmethod
    def of(cls, tokens: Tokens, block: int) -> Blocks:
        """Blocks count from the start of each document; one that is not all there is none."""
        position, room = tokens.position, tokens.length // block
        here = torch.arange(tokens.length, device=position.device)
        first = (here - block + 1).clamp(min=0)
        last = (position % block == block - 1) & (position[:, first] == position - block + 1) & (here >= block - 1)
        if (segment := tokens.segment) is not None:
            last = last & (segment >= 0) & (segment[:, first] == segment)
        end = last.int().argsort(dim=1, descending=True, stable=True)[:, :room]
        end = torch.where(last.gather(1, end), end, -1)
        before = last.cumsum(dim=1) - last.long()
        ahead = F.pad(end, (0, 1), value=-1).gather(1, before.clamp(max=room)) - here
        return cls(end, torch.where((ahead >= 0) & (ahead < block), before, room))


@final
class Summary(nn.Module):
    """One vector for each block: two matrices and a GELU over the vectors of its tokens, side by side.

    Args:
        block: tokens in a block.
        width: features of a vector.
    """

    def __init__(self, block: int, width: int) -> None:
        super().__init__()
        self.block = block
        self.up, self.down = nn.Linear(block * width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, blocks: Blocks) -> Tensor:
        """``[batch, heads, length, width]`` to ``[batch, heads, blocks, width]``."""
        places = blocks.end[:, :, None] + torch.arange(1 - self.block, 1, device=x.device)
        rows = torch.arange(len(x), device=x.device)[:, None, None]
        inside = x[rows, :, places.clamp(min=0)].permute(0, 3, 1, 2, 4).flatten(3)
        out: Tensor = self.down(F.gelu(self.up(inside)))
        return out


@final
@register("attention", "native_sparse", paper="arXiv:2502.11089")
class NativeSparseAttention(Attention):
    """g₁ a₁ + g₂ a₂ + g₃ a₃: attention to summaries of blocks, to the blocks that matter most, and to the last tokens.

    The branches have keys and values of their own, and each head a gate sigmoid(w x) for each. Blocks do not overlap.
    A query chooses the blocks whose summaries get the largest weights, summed over the heads that share keys; its own
    block it sees always. This is the plain form: it hides pairs, and saves no time.

    Args:
        dim: features per token.
        heads: query heads.
        head_dim: features per head; heads * head_dim need not be dim.
        norm: not used.
        kv_heads: key and value heads; divides ``heads``.
        block: tokens in a block, counted from the start of a document.
        keep: blocks that a query chooses besides its own.
        window: the third branch sees this many last tokens, the own one included.
    Raises:
        Refused: if ``kv_heads`` does not divide ``heads``, or another option is not positive.
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
        require(window > 1, f"window must be at least 2, the own token and another: got window={window}")
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.block, self.keep, self.window = block, keep, window
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.key = nn.Linear(dim, BRANCHES * kv_heads * head_dim, bias=False)
        self.value = nn.Linear(dim, BRANCHES * kv_heads * head_dim, bias=False)
        self.gate = nn.Linear(dim, BRANCHES * heads, bias=False)
        self.output = OutputLinear(heads * head_dim, dim, bias=False)
        self.key_summary, self.value_summary = Summary(block, head_dim), Summary(block, head_dim)

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``."""
        parts = (self.query(x), self.key(memory), self.value(memory))
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in parts)
        q = position.rotate_queries(q, mask.query.position)
        rotated = position.rotate_keys(k[:, self.kv_heads :], mask.key.position)
        k = torch.cat([k[:, : self.kv_heads], rotated], dim=1)  # summaries are made of keys that are not rotated
        if cache is not None:
            (k, v), mask = cache.extend((k, v), mask)
        (k1, k2, k3), (v1, v2, v3) = k.chunk(BRANCHES, dim=1), v.chunk(BRANCHES, dim=1)
        blocks = Blocks.of(mask.key, self.block)
        over, seen = _over_blocks(mask, blocks)
        k1 = position.rotate_keys(self.key_summary(k1, blocks), over.key.position)
        chosen = self._chosen(q, k1, mask, over, seen, blocks, position)
        mixed = [
            attend(q, k1, self.value_summary(v1, blocks), over, position, Scores(), allowed=seen[:, None]),
            attend(q, k2, v2, mask, position, Scores(), allowed=chosen),
            attend(q, k3, v3, mask, position, Scores(window=self.window)),
        ]
        gates = self.gate(x).sigmoid().unflatten(-1, (BRANCHES, self.heads)).permute(2, 0, 3, 1)
        merged: Tensor = self.output((gates[..., None] * torch.stack(mixed)).sum(dim=0).transpose(1, 2).flatten(2))
        return merged

    @torch.no_grad()
    def _chosen(
        self, q: Tensor, k: Tensor, mask: Mask, over: Mask, seen: Tensor, blocks: Blocks, position: Position
    ) -> Tensor:
        """Which tokens a query sees in the second branch: ``[batch, heads, query, key]``."""
        room, group = blocks.end.shape[1], self.heads // self.kv_heads
        logits = compute_scores(q, k, over, position, Scores()).masked_fill(~seen[:, None], torch.finfo(q.dtype).min)
        weights = logits.softmax(dim=-1).view(len(q), self.kv_heads, group, *logits.shape[2:]).sum(dim=2)
        others = (seen & ~self._own(over))[:, None]
        best = weights.masked_fill(~others, -1.0).topk(min(self.keep, room), dim=-1).indices
        picked = torch.zeros_like(weights, dtype=torch.bool).scatter(-1, best, value=True) & others
        home = blocks.home[:, None, None].expand(*picked.shape[:3], -1)
        chosen = F.pad(picked, (0, 1)).gather(-1, home) | self._own(mask)[:, None]
        return chosen.repeat_interleave(group, dim=1)

    def _own(self, mask: Mask) -> Tensor:
        """Keys that stand in the query's block, if they are of its document: ``[batch or 1, query, key]``."""
        return mask.query.position[:, :, None] // self.block == mask.key.position[:, None] // self.block

    def flops(self, mask: Mask) -> int:
        """Projections, summaries, and the seen pairs of the three branches; scores of summaries also choose."""
        per_query = sum(count_linear_flops(part) for part in (self.query, self.gate, self.output))
        per_key = count_linear_flops(self.key) + count_linear_flops(self.value)
        per_block = self.kv_heads * (count_linear_flops(self.key_summary) + count_linear_flops(self.value_summary))
        blocks = Blocks.of(mask.key, self.block)
        over, seen = _over_blocks(mask, blocks)
        others = (seen & ~self._own(over)).sum(dim=-1).clamp(max=self.keep)
        chosen = int(others.sum()) * self.block + int((self._own(mask) & mask.materialize()).sum())
        pairs = 4 * (int(seen.sum()) + chosen + mask.restrict_window(self.window).count_pairs())
        total = per_query * mask.query.length + per_key * mask.key.length + per_block * blocks.end.shape[1]
        return total + self.heads * self.head_dim * pairs

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Values, their summaries, and output; queries, keys and gates only steer (DeepNorm)."""
        yield from (self.value.weight, self.value_summary.up.weight, self.value_summary.down.weight)
        yield self.output.weight


def _over_blocks(mask: Mask, blocks: Blocks) -> tuple[Mask, Tensor]:
    """The mask whose keys are blocks, standing where they end, and who sees which ``[batch or 1, query, blocks]``."""
    end, rows = blocks.end.clamp(min=0), len(blocks.end)
    places = mask.key.position.expand(rows, -1).gather(1, end)
    visible = mask.materialize().expand(rows, -1, -1).gather(2, end[:, None].expand(-1, mask.query.length, -1))
    key = Tokens(torch.arange(end.shape[1], device=end.device), places)
    return Mask(Tokens(mask.query.index, mask.query.position), key), visible & (blocks.end >= 0)[:, None]
