"""What decoding remembers: one class for full, windowed and latent memory, and for a recurrent state."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from zoo.model.mask import Mask, Tokens


@final
class Cache:
    """The memory of one mixer: tensors along the sequence with their tokens, or a state.

    Tensors along the sequence are ``[batch, …, length, width]`` and live in a ring: a token that arrived at ``index``
    lies in slot ``index % capacity``, so a memory of everything and one of a window are the same thing.

    Args:
        capacity: tokens that are kept; older ones are overwritten.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.state: tuple[Tensor, ...] = ()
        self._items: tuple[Tensor, ...] = ()
        self._index = torch.empty(0, dtype=torch.long)
        self._position = torch.empty(0, 0, dtype=torch.long)
        self._segment: Tensor | None = None
        self._count = 0

    @property
    def bytes(self) -> int:
        """Memory held by tensors along the sequence and by the state."""
        return sum(item.numel() * item.element_size() for item in (*self._items, *self.state))

    def extend(self, items: tuple[Tensor, ...], mask: Mask) -> tuple[tuple[Tensor, ...], Mask]:
        """Remember ``items`` of the tokens ``mask.key``; return all that is remembered and the mask over it.

        Args:
            items: tensors ``[batch, …, length, width]``; a length of zero adds nothing (cross-attention, later steps).
            mask: who of the new tokens sees whom.
        Returns:
            the items of remembered and new tokens, and ``mask`` with these tokens as its keys.
        """
        fresh = mask.key.length
        if not self._items:
            self._allocate(items, mask.key)
        if self._count + fresh <= self.capacity or fresh == 1:
            self._write(items, mask.key)
            return self._get_items(), replace(mask, key=self._get_tokens())
        # The first queries of a long chunk still see what its last tokens push out of the ring.
        old = self._get_items() if self._count else tuple(item[..., :0, :] for item in items)
        both = tuple(torch.cat(pair, dim=-2) for pair in zip(old, items, strict=True))
        key = _concatenate(self._get_tokens(), mask.key) if self._count else mask.key
        self._write(items, mask.key)
        return both, replace(mask, key=key)

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch, in this order (beam search)."""
        self._items = tuple(item[rows] for item in self._items)
        self.state = tuple(item[rows] for item in self.state)
        if self._items:
            self._position = self._position[rows]
        if self._segment is not None:
            self._segment = self._segment[rows]

    def _allocate(self, items: tuple[Tensor, ...], tokens: Tokens) -> None:
        self._items = tuple(item.new_zeros(*item.shape[:-2], self.capacity, item.shape[-1]) for item in items)
        self._index = tokens.index.new_zeros(self.capacity)
        self._position = tokens.position.new_zeros(len(items[0]), self.capacity)

    def _write(self, items: tuple[Tensor, ...], tokens: Tokens) -> None:
        last = min(tokens.length, self.capacity)
        if last == 0:
            return
        start = self._count + tokens.length - last
        slots = torch.arange(start, start + last, device=self._index.device) % self.capacity
        for kept, item in zip(self._items, items, strict=True):
            kept[..., slots, :] = item[..., -last:, :]
        self._index[slots] = tokens.index[-last:]
        self._position[:, slots] = tokens.position[:, -last:]
        if tokens.segment is not None and self._segment is None:
            self._segment = torch.zeros_like(self._position)
        if self._segment is not None:
            self._segment[:, slots] = 0 if tokens.segment is None else tokens.segment[:, -last:]
        self._count += tokens.length

    def _get_items(self) -> tuple[Tensor, ...]:
        used = min(self._count, self.capacity)
        return tuple(item[..., :used, :] for item in self._items)

    def _get_tokens(self) -> Tokens:
        used = min(self._count, self.capacity)
        segment = None if self._segment is None else self._segment[:, :used]
        return Tokens(self._index[:used], self._position[:, :used], segment)


def _concatenate(old: Tokens, new: Tokens) -> Tokens:
    rows = len(old.position)
    index = torch.cat([old.index, new.index])
    position = torch.cat([old.position, new.position.expand(rows, -1)], dim=1)
    if old.segment is None and new.segment is None:
        return Tokens(index, position)
    segments = [t.position.new_zeros(rows, t.length) if t.segment is None else t.segment for t in (old, new)]
    return Tokens(index, position, torch.cat(segments, dim=1))
