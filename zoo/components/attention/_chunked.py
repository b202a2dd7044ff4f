"""Recurrences of outer products, a chunk of tokens at a time: products of matrices in place of a loop over tokens.

Decays are handed over as logarithms, never positive, and only ever added up forwards in time: no exponential exceeds
one, however fast a state is forgotten. Documents are kept apart by masks, so a decay need not be zero where one begins.
"""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.components.attention._recurrent import PackedRow, full_precision


def chunk_size(length: int, largest: int) -> int:
    """The least power of two that holds ``length`` tokens, at most ``largest``."""
    return min(largest, 1 << (length - 1).bit_length())


@final
class Chunks:
    """Rows cut into chunks, filled up on the right with padding.

    ``document`` is ``[batch, 1, chunks, size]``; the others, with size or 1 in place of the last two axes, are true
    where a token sees another of its chunk (``within``), sees what is remembered when the chunk begins (``begin``), is
    still remembered when it ends (``end``), and where one document lasts through the chunk (``whole``).

    Args:
        row: the tokens.
        largest: a power of two; no chunk has more tokens.
    """

    def __init__(self, row: PackedRow, largest: int) -> None:
        self.row, self.length = row, row.real.shape[1]
        self.size = chunk_size(self.length, largest)
        self.padding = -self.length % self.size
        document = torch.cat([row.document, row.document[:, -1:].expand(-1, self.padding)], dim=1)
        before = torch.unflatten(document[:, :-1], 1, (-1, self.size))[:, None, :, :1]
        self.document = torch.unflatten(document[:, 1:], 1, (-1, self.size))[:, None]
        last = self.document[..., -1:]
        self.within = (self.document[..., :, None] == self.document[..., None, :]).tril()
        self.begin = (self.document == before)[..., None]
        self.end = (self.document == last)[..., None]
        self.whole = (before == last)[..., None]

    def cut(self, x: Tensor) -> Tensor:
        """``[batch, heads, length, width]`` to ``[batch, heads, chunks, size, width]``."""
        return torch.unflatten(F.pad(x, (0, 0, 0, self.padding)), 2, (-1, self.size))

    def cut_real(self, x: Tensor) -> Tensor:
        """The same, zero at padding."""
        return self.cut(self.row.only_real(x))

    def join(self, x: Tensor) -> Tensor:
        """``[batch, heads, chunks, size, width]`` back to ``[batch, heads, length, width]``."""
        return x.flatten(2, 3)[:, :, : self.length]

    def between(self, total: Tensor) -> Tensor:
        """The decay from token j to token i, ``[…, size, size]``, of running sums of logarithms ``[…, size, 1]``."""
        return (total - total.mT).masked_fill(~self.within, -math.inf).exp()


def decayed(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, row: PackedRow, largest: int, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """S_t = a_t S_{t-1} + k_t v_tᵀ and y_t = S_tᵀ q_t, with one decay a_t for each head.

    Args:
        q: ``[batch, groups, length, key width]``; heads that follow each other share a group.
        k: as ``q``.
        v: ``[batch, heads, length, value width]``.
        log_decay: log a, ``[batch or 1, heads, length, 1]``.
        row: documents and padding.
        largest: tokens of a chunk.
        state: S ``[batch, heads, key width, value width]``; None is zero.
    Returns:
        y, of the shape of ``v``, and the new state.
    """
    with full_precision(v):
        chunks, sharing = Chunks(row, largest), v.shape[1] // q.shape[1]
        q, k, v = chunks.cut(q), chunks.cut_real(k), chunks.cut(v)
        total = chunks.cut_real(log_decay).cumsum(dim=-2)
        scores = (q @ k.mT).repeat_interleave(sharing, dim=1) * chunks.between(total)
        q, k = q.repeat_interleave(sharing, dim=1), k.repeat_interleave(sharing, dim=1)
        remembered, state = carried(q, k, v, total, chunks, state)
        return chunks.join(scores @ v + remembered), state


def pairs_within(length: int, size: int) -> int:
    """Pairs of a query and a key not after it, in the same chunk of ``size`` tokens, in a row of ``length`` tokens."""
    chunks, rest = divmod(length, size)
    return chunks * size * (size + 1) // 2 + rest * (rest + 1) // 2


def tokens_after_first(length: int, size: int) -> int:
    """Tokens behind the first chunk: they read a state."""
    return max(0, length - size)


def tokens_before_last(length: int, size: int) -> int:
    """Tokens before the last chunk: they write to a state that is read."""
    return (length - 1) // size * size


def decayed_flops(length: int, size: int, groups: int, heads: int, key: int, value: int) -> int:
    """Operations that ``decayed`` needs for a row: pairs within chunks, and states that are written and read."""
    states = tokens_after_first(length, size) + tokens_before_last(length, size)
    return 2 * pairs_within(length, size) * (groups * key + heads * value) + 2 * heads * key * value * states


def carried(
    q: Tensor, k: Tensor, v: Tensor, total: Tensor, chunks: Chunks, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What tokens take from earlier chunks, ``[batch, heads, chunks, size, value width]``, and the new state.

    ``total`` holds running sums of log decays within chunks, ``[…, size, 1 or key width]``; the rest is cut, too.
    """
    after = total[..., -1:, :]
    writes = (k * (after - total).exp() * chunks.end).mT @ v
    keeps = after.exp().mT * chunks.whole
    now = torch.zeros_like(writes[:, :, 0]) if state is None else state
    begins = []
    for write, keep in zip(writes.unbind(2), keeps.unbind(2), strict=True):
        begins.append(now)
        now = now * keep + write
    return (q * total.exp() * chunks.begin) @ torch.stack(begins, dim=2), now
