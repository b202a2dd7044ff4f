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
    arrived at ``index`` has slot ``index % capacity``. So a full cache and that of a window are one class. Memory is
    allocated once; until the ring is full, slices of it are written and returned.

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
        self._tokens: Tokens | None = None  # tokens of the used slots; replaced, never changed, since layers share them
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
            as its keys. Layers that pass the same mask and have cached the same tokens get the same one.
        """
        fresh, count = mask.key.length, self._count
        if not self._items:
            self._items = tuple(item.new_zeros(*item.shape[:-2], self.capacity, item.shape[-1]) for item in items)
        # A chunk may overwrite tokens that its first queries still attend to: then return old and new items together.
        is_wrapping = fresh > 1 and count + fresh > self.capacity
        returned = tuple(map(_join, self._get_items(), items)) if is_wrapping else ()
        self._write(items, fresh)
        before, capacity = self._tokens, self.capacity
        self._tokens, mask = mask.keep(("cached", before, count, capacity), lambda: _add(before, count, capacity, mask))
        return returned if is_wrapping else self._get_items(), mask

    def select(self, rows: Tensor) -> None:
        """Keeps these rows of the batch ``[new_batch]``, in this order; a row may occur several times (beam search)."""
        self._items = tuple(item[rows] for item in self._items)
        self.state = tuple(item[rows] for item in self.state)
        if self._tokens is not None:
            self._tokens = self._tokens.select_rows(rows)

    def _write(self, items: tuple[Tensor, ...], fresh: int) -> None:
        last = min(fresh, self.capacity)  # of a longer chunk, only the last tokens remain
        self._count += fresh
        if last == 0:
            return
        start = (self._count - last) % self.capacity
        if start + last <= self.capacity:
            for kept, item in zip(self._items, items, strict=True):
                kept[..., start : start + last, :] = item[..., -last:, :] if last < fresh else item
        else:
            slots = torch.arange(start, start + last, device=items[0].device) % self.capacity
            for kept, item in zip(self._items, items, strict=True):
                kept[..., slots, :] = item[..., -last:, :]  # [batch, …, last, width]

    def _get_items(self) -> tuple[Tensor, ...]:
        if self._count >= self.capacity:
            return self._items
        return tuple(item[..., : self._count, :] for item in self._items)


def _join(old: Tensor, new: Tensor) -> Tensor:
    return torch.cat([old, new], dim=-2) if old.shape[-2] else new


def _add(before: Tokens | None, count: int, capacity: int, mask: Mask) -> tuple[Tokens, Mask]:
    """Adds the tokens ``mask.key`` to those of a ring.

    Args:
        before: tokens of the slots; None: no token has arrived.
        count: number of tokens that have arrived before.
        capacity: number of slots.
        mask: mask among the new tokens.
    Returns:
        the tokens of the slots, and the mask with the tokens that :meth:`Cache.extend` returns.
    """
    new, used = mask.key, min(count, capacity)
    if before is None or used == 0:
        before, both = new, new
    else:
        before = before.select(0, used)
        both = before.append(new) if new.length else before
    if both.length <= capacity:
        kept = both
    else:
        # The token that arrived last in each slot: the slot's own, or a new one, which follows those of the slots.
        last = count + new.length - 1
        arrived = last - (last - torch.arange(capacity, device=new.index.device)) % capacity
        kept = both.gather(torch.where(arrived >= count, used + arrived - count, arrived % capacity))
    seen = both if new.length > 1 else kept
    if seen is mask.key:
        return kept, mask
    if mask.query.length == 1 and mask.causal:  # the query is the newest token: none that is cached comes after it
        return kept, replace(mask, key=seen, causal=False, prefix=None, is_newest=True)
    return kept, replace(mask, key=seen)
