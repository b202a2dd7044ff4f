"""Cache of decoding: keys and values of all tokens or of a window, latent vectors, or a recurrent state."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from zoo.model.mask import Mask, Tokens


@final
class Cache:
    """Cache of one attention: tensors with a sequence dimension and their tokens, or a recurrent state.

    Tensors with a sequence dimension are ``[batch, …, length, width]`` and are stored in a ring buffer: the token that
    arrived at ``index`` has slot ``index % capacity``. So a full cache and that of a window are one class.

    Attributes:
        capacity: tokens that are kept; older ones are overwritten.
        state: tensors of a recurrent mixer, ``[batch, …]``; empty for others.
    Args:
        capacity: tokens that are kept.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.state: tuple[Tensor, ...] = ()
        self._items: tuple[Tensor, ...] = ()
        self._index = torch.empty(0, dtype=torch.long)  # [capacity] once allocated
        self._position = torch.empty(0, 0, dtype=torch.long)  # [batch, capacity]
        self._segment: Tensor | None = None  # [batch, capacity] once a token has a segment
        self._count = 0  # tokens that have arrived, overwritten ones included

    @property
    def bytes(self) -> int:
        """Memory of the cached tensors and of the state, in bytes."""
        return sum(item.numel() * item.element_size() for item in (*self._items, *self.state))

    def extend(self, items: tuple[Tensor, ...], mask: Mask) -> tuple[tuple[Tensor, ...], Mask]:
        """Stores ``items`` of the tokens ``mask.key``.

        Args:
            items: tensors ``[batch, …, length, width]``; a length of zero stores nothing (later steps of
                cross-attention).
            mask: mask among the new tokens.
        Returns:
            the items of cached and new tokens ``[batch, …, cached + length, width]``, and ``mask`` with these tokens
            as its keys.
        """
        fresh = mask.key.length
        if not self._items:
            self._allocate(items, mask.key)
        if self._count + fresh <= self.capacity or fresh == 1:
            self._write(items, mask.key)
            return self._get_items(), replace(mask, key=self._get_tokens())
        # The chunk overwrites tokens that its first queries still attend to: return old and new items before writing.
        old = self._get_items() if self._count else tuple(item[..., :0, :] for item in items)
        both = tuple(torch.cat(pair, dim=-2) for pair in zip(old, items, strict=True))
        key = _concatenate(self._get_tokens(), mask.key) if self._count else mask.key
        self._write(items, mask.key)
        return both, replace(mask, key=key)

    def select(self, rows: Tensor) -> None:
        """Keeps these rows of the batch ``[new_batch]``, in this order; a row may occur several times (beam search)."""
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
        last = min(tokens.length, self.capacity)  # of a longer chunk, only the last tokens remain
        if last == 0:
            return
        start = self._count + tokens.length - last
        slots = torch.arange(start, start + last, device=self._index.device) % self.capacity
        for kept, item in zip(self._items, items, strict=True):
            kept[..., slots, :] = item[..., -last:, :]  # [batch, …, last, width]
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
