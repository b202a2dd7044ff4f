"""Division of a mask into blocks of queries and the keys that they may see, so that attention costs what it sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from zoo.model.mask import Mask, Tokens

CALL_COST = {"cpu": 2**11, "other": 2**20}
"""Query-key pairs that cost as much as a further call of a kernel, forward and backward, by type of device.

On an AMD EPYC, a call of ``scaled_dot_product_attention`` takes 60 µs, and a pair of 4 heads of 64 features 50 ns.
"""
LARGEST = 512
"""Queries in a block of a window at most; also those in a block of a prefix."""
SMALLEST = 64
"""Queries in a block of a window at least."""


@dataclass(frozen=True)
class Block:
    """Consecutive queries, and the consecutive keys that they may see.

    Attributes:
        queries: first query, and the query after the last one.
        keys: first key, and the key after the last one.
        mask: mask over these queries and keys; None if the queries see no key.
    """

    queries: tuple[int, int]
    keys: tuple[int, int]
    mask: Mask | None

    @property
    def pairs(self) -> int:
        """Query-key pairs that a kernel computes."""
        (first, last), (begin, end) = self.queries, self.keys
        if self.mask is None:
            return 0
        return (last - first) * (end - begin) // (2 if self.mask.is_plain and self.mask.causal else 1)


@dataclass(frozen=True)
class Blocks:
    """Blocks that together hold all queries, in order.

    Attributes:
        items: the blocks; their ranges count the tokens of a row, or of all rows.
        are_rows_joined: True if the rows of the batch follow each other as one row of ``batch * length`` tokens.
        step: keys begin at multiples of it; 0 if the keys of each block are the tokens of its queries.
    """

    items: tuple[Block, ...]
    are_rows_joined: bool
    step: int

    def split_queries(self, x: Tensor) -> Sequence[Tensor]:
        """Splits ``[batch, heads, length, width]`` into the queries of each block."""
        return torch.split(
            self._join_rows(x), [last - first for first, last in (item.queries for item in self.items)], dim=2
        )

    def split_keys(self, x: Tensor) -> Sequence[Tensor]:
        """Splits ``[batch, heads, length, width]`` into the keys of each block."""
        if not self.step:
            return self.split_queries(x)
        # Slices would overlap, and the gradient of each would be a tensor of the whole length.
        steps = torch.split(x, self.step, dim=2)
        ranges = ((begin // self.step, -(-end // self.step)) for begin, end in (item.keys for item in self.items))
        return [torch.cat(steps[begin:end], dim=2) if end - begin > 1 else steps[begin] for begin, end in ranges]

    def join(self, outputs: Sequence[Tensor], batch: int) -> Tensor:
        """Joins the outputs of all blocks to ``[batch, heads, length, width]``."""
        x = torch.cat([out.transpose(1, 2) for out in outputs], dim=1)  # heads beside each other, as projections expect
        return (x.view(batch, -1, *x.shape[2:]) if self.are_rows_joined else x).transpose(1, 2)

    def _join_rows(self, x: Tensor) -> Tensor:
        """Maps ``[batch, heads, length, width]`` to ``[1, heads, batch * length, width]`` if rows are joined."""
        return x.transpose(1, 2).flatten(0, 1).transpose(0, 1)[None] if self.are_rows_joined else x


def find_blocks(mask: Mask, rows: int) -> Blocks | None:
    """Divides a mask of self-attention by documents, or into ranges of queries if keys are limited in another way.

    Args:
        mask: a mask; blocks are found once for all layers that share it.
        rows: rows of the batch.
    Returns:
        the blocks; None if they would save less than their calls cost, or the mask does not tell them.
    """
    is_square = mask.query is mask.key and mask.query.start is not None
    if not is_square or mask.is_plain or rows * mask.query.length**2 < CALL_COST["cpu"]:
        return None
    return mask.keep(("blocks", rows), lambda: _find_blocks(mask, rows))


def _find_blocks(mask: Mask, rows: int) -> Blocks | None:
    device, length = mask.query.index.device.type, mask.query.length
    # Documents are found in the values of a tensor: on other devices that would wait for the device.
    packed, is_known = mask.query.segment, device == "cpu" and not torch.compiler.is_compiling()
    by_document = packed is not None and len(packed) == rows and is_known
    step = 0 if by_document else _choose_step(mask)
    items = tuple(_list_documents(mask) if by_document else _list_ranges(mask, step) if 0 < step < length else ())
    computed = sum(item.pairs for item in items) * (1 if by_document else rows)
    cost = CALL_COST.get(device, CALL_COST["other"]) * len(items)
    return Blocks(items, by_document, step) if items and computed + cost < rows * length**2 else None


def _list_documents(mask: Mask) -> Iterator[Block]:
    """Yields a block for each document of the joined rows and each run of padding; nothing if documents interleave."""
    segment, length = mask.query.segment, mask.query.length
    assert segment is not None
    begins = torch.ones_like(segment, dtype=torch.bool)
    begins[:, 1:] = segment[:, 1:] != segment[:, :-1]
    first = begins.flatten().nonzero()[:, 0]
    numbers, places = segment.flatten()[first].tolist(), [*first.tolist(), segment.numel()]
    documents = [(place // length, number) for place, number in zip(places, numbers, strict=False) if number >= 0]
    if len(set(documents)) < len(documents):
        return
    for (start, stop), number in zip(pairwise(places), numbers, strict=True):
        row = start // length
        part = None if number < 0 else _select_document(mask, row, start - row * length, stop - row * length)
        yield Block((start, stop), (start, stop), part)


def _select_document(mask: Mask, row: int, first: int, stop: int) -> Mask:
    """Returns the mask of one document."""
    position = mask.query.position[row if len(mask.query.position) > 1 else 0, first:stop][None]
    index = mask.query.index[first:stop]
    start = None if mask.query.start is None else mask.query.start + first
    first_position = None
    if mask.block is not None and torch.equal(position - position[:, :1], (index - index[0])[None]):
        first_position = int(position[0, 0])
    tokens = Tokens(index, position, None, start, first_position)
    return replace(mask, query=tokens, key=tokens, prefix=None if mask.prefix is None else mask.prefix[row : row + 1])


def _choose_step(mask: Mask) -> int:
    """Chooses how many queries share a range of keys; 0 if keys are not limited to ranges.

    Fewer queries see fewer keys in vain, and copy each key more often.
    """
    if mask.block is not None:
        return 0 if mask.query.first_position is None else mask.block * max(1, SMALLEST // mask.block)
    if mask.window is not None:
        return min(max(mask.window // 4, SMALLEST), LARGEST)
    return LARGEST if mask.causal and mask.prefix is not None else 0


def _list_ranges(mask: Mask, step: int) -> Iterator[Block]:
    """Yields a block for each ``step`` queries; blocks with equal masks share their tensors."""
    length, prefix = mask.query.length, _find_longest_prefix(mask)
    shared: dict[tuple[int, ...], dict[Any, Any]] = {}
    for first in range(0, length, step):
        stop = min(first + step, length)
        begin, end = _find_keys(mask, first, stop, prefix)
        begin, end = begin // step * step, min(length, -(-end // step) * step)
        query = mask.query.select(first, stop)
        part = replace(mask, query=query, key=query if (first, stop) == (begin, end) else mask.key.select(begin, end))
        if mask.query.segment is None and mask.prefix is None:  # then the mask depends on distances alone
            kept = shared.setdefault((first - begin, stop - begin, end - begin), part._kept)
            object.__setattr__(part, "_kept", kept)
        yield Block((first, stop), (begin, end), part)


def _find_longest_prefix(mask: Mask) -> int:
    """Finds the number of keys that all queries of some row see."""
    if mask.prefix is None:
        return 0
    if mask.prefix.device.type != "cpu" or torch.compiler.is_compiling():
        return mask.query.length
    return min(mask.query.length, int(mask.prefix.max()) - (mask.query.start or 0))


def _find_keys(mask: Mask, first: int, stop: int, prefix: int) -> tuple[int, int]:
    """Finds the range of keys that the queries from ``first`` up to ``stop`` may see."""
    begin, end = 0, max(stop, prefix) if mask.causal else mask.query.length
    if mask.window is not None:
        begin, end = max(begin, first - mask.window + 1), min(end, stop + mask.window - 1)
    if mask.block is not None and (zero := mask.query.first_position) is not None:
        low = (zero + first) // mask.block - mask.look_back
        high = (zero + stop - 1) // mask.block + mask.look_back + 1
        begin, end = max(begin, low * mask.block - zero), min(end, high * mask.block - zero)
    return begin, end
