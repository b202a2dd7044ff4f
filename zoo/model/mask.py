"""Tokens of a row and attention masks, kept as structures and turned into tensors only where a kernel needs one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Tokens:
    """Order, positions and segments of the tokens of a batch of rows.

    Args:
        index: order of arrival, ``[length]``; decides causality and windows.
        position: position given to the position component, ``[batch or 1, length]``; restarts with each document.
        segment: document of each token in a packed row, ``[batch, length]``; tokens of different segments do not attend
            to each other, and negative segments are padding. None: each row is one document without padding.
        start: index of the first token, if the indices are known to be consecutive; None if not.
        first_position: position of the first token, if the positions of all rows are known to be consecutive.
    """

    index: Tensor
    position: Tensor
    segment: Tensor | None = None
    start: int | None = None
    first_position: int | None = None

    @classmethod
    def from_length(
        cls,
        length: int,
        *,
        start: int = 0,
        position: Tensor | None = None,
        segment: Tensor | None = None,
        device: torch.device | str | None = None,
    ) -> Tokens:
        """Returns ``length`` tokens whose indices begin at ``start``; ``position`` defaults to the indices."""
        index = torch.arange(start, start + length, device=device)
        if position is None:
            return cls(index, index[None], segment, start, start)
        return cls(index, position, segment, start)

    def select(self, first: int, stop: int) -> Tokens:
        """Returns the tokens from number ``first`` up to ``stop`` of each row."""
        segment = None if self.segment is None else self.segment[:, first:stop]
        starts = (None if known is None else known + first for known in (self.start, self.first_position))
        return Tokens(self.index[first:stop], self.position[:, first:stop], segment, *starts)

    def append(self, new: Tokens) -> Tokens:
        """Returns these tokens followed by ``new``."""
        index, position = torch.cat([self.index, new.index]), _join(self.position, new.position)
        segments = (self.segment, new.segment)
        segment = None if segments == (None, None) else _join(*(x.get_segment(len(position)) for x in (self, new)))
        start = self.start if _continues(self.start, self.length, new.start) else None
        first = self.first_position if _continues(self.first_position, self.length, new.first_position) else None
        return Tokens(index, position, segment, start, first)

    def gather(self, columns: Tensor) -> Tokens:
        """Returns the tokens of these columns ``[length]`` of each row."""
        segment = None if self.segment is None else self.segment[:, columns]
        return Tokens(self.index[columns], self.position[:, columns], segment)

    def select_rows(self, rows: Tensor) -> Tokens:
        """Returns the tokens of these rows of the batch ``[new_batch]``."""
        position = self.position if len(self.position) == 1 else self.position[rows]
        return replace(self, position=position, segment=None if self.segment is None else self.segment[rows])

    def get_segment(self, rows: int) -> Tensor:
        """Returns the segments ``[batch, length]``; 0 if there are none."""
        return self.position.new_zeros(rows, self.length) if self.segment is None else self.segment

    @property
    def length(self) -> int:
        """Number of tokens in a row."""
        return len(self.index)


def _join(first: Tensor, second: Tensor) -> Tensor:
    """Concatenates ``[batch or 1, length]`` along the length."""
    rows = max(len(first), len(second))
    return torch.cat([x if len(x) == rows else x.expand(rows, -1) for x in (first, second)], dim=1)


def _continues(start: int | None, length: int, after: int | None) -> bool:
    return start is not None and after == start + length


@dataclass(frozen=True)
class Mask:
    """The keys that each query may attend to.

    A mask lives as long as one forward pass, and keeps the tensors that its layers ask for.

    Args:
        query: tokens of the queries.
        key: tokens of the keys.
        causal: if True, a query does not attend to keys that arrived after it.
        window: a query at i attends to keys at j with ``abs(i - j) < window``; None is no limit.
        prefix: ``[batch]``; every query may attend to the first ``prefix`` keys of its row, even if ``causal``.
        block: tokens in a block of positions (block-local attention); None is no blocks.
        look_back: with blocks, a query attends to keys at most so many blocks away.
        is_newest: whether the only query is the newest of the keys, and the others are the last ones before it.
    """

    query: Tokens
    key: Tokens
    causal: bool = False
    window: int | None = None
    prefix: Tensor | None = None
    block: int | None = None
    look_back: int = 0
    is_newest: bool = False
    _kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def keep(self, name: Any, make: Callable[[], T]) -> T:
        """Returns ``make()``, computed once for each ``name``; a compiled graph has no use for what is kept."""
        if torch.compiler.is_compiling():
            return make()
        if name not in self._kept:
            self._kept[name] = make()
        value: T = self._kept[name]
        return value

    def restrict_window(self, window: int | None) -> Mask:
        """Returns this mask with a window of at most ``window``; None leaves it unchanged."""
        if window is None or (self.window is not None and self.window <= window):
            return self
        return self.keep(("window", window), lambda: replace(self, window=window))

    def restrict_blocks(self, block: int, look_back: int) -> Mask:
        """Returns this mask restricted to keys at most ``look_back`` blocks of ``block`` positions away."""
        return self.keep(("blocks", block, look_back), lambda: replace(self, block=block, look_back=look_back))

    @property
    def is_plain(self) -> bool:
        """True if ``causal`` alone describes the mask, so that a kernel needs no mask tensor."""
        same = self.query is self.key
        limited = self.window is not None and not ((same or self.is_newest) and self.window >= self.key.length)
        padded = self.query.segment is not None or self.key.segment is not None
        return (same or not self.causal) and not padded and not limited and self.prefix is None and self.block is None

    def materialize(self) -> Tensor:
        """Returns a bool tensor, True where a query may attend to a key: ``[batch or 1, query, key]``."""
        return self.keep("seen", self._materialize)

    def _materialize(self) -> Tensor:
        i, j = self.query.index[:, None], self.key.index[None, :]  # [query, 1], [1, key]
        seen = torch.ones(1, len(i), j.shape[1], dtype=torch.bool, device=i.device)
        if self.causal:
            seen = (j <= i)[None]
            if self.prefix is not None:
                seen = seen | (j[None] < self.prefix[:, None, None])  # [batch, query, key]
        if self.window is not None:
            seen = seen & ((i - j).abs() < self.window)
        if self.block is not None:
            query, key = self.query.position // self.block, self.key.position // self.block
            seen = seen & ((query[:, :, None] - key[:, None, :]).abs() <= self.look_back)
        if self.query.segment is not None and self.key.segment is not None:
            seen = seen & (self.query.segment[:, :, None] == self.key.segment[:, None, :])
        for segment, dim in ((self.query.segment, 2), (self.key.segment, 1)):
            if segment is not None:  # padding neither attends nor is attended to
                seen = seen & (segment >= 0).unsqueeze(dim)
        return seen

    def find_blind(self) -> Tensor | None:
        """Finds the queries that may attend to no key, ``[batch or 1, query]``; None if there is none."""
        return self.keep("blind", self._find_blind)

    def _find_blind(self) -> Tensor | None:
        if self.query is not self.key:
            blind = ~self.materialize().any(dim=-1)
        elif self.query.segment is None:  # each token attends at least to itself
            return None
        else:
            blind = self.query.segment < 0
        # On other devices, and in a graph, the values are not known yet.
        is_known = blind.device.type == "cpu" and not torch.compiler.is_compiling()
        return None if is_known and not blind.any() else blind

    def make_additive(self, dtype: torch.dtype) -> Tensor:
        """Returns the term that the mask adds to scores, ``[batch or 1, 1, query, key]``: 0, or -inf for a hidden key.

        Kernels differ on rows without a key (cuDNN returns NaN): queries of :meth:`find_blind` see all keys.
        """
        return self.keep(("additive", dtype), lambda: self._make_additive(dtype))

    def _make_additive(self, dtype: torch.dtype) -> Tensor:
        seen, blind = self.materialize(), self.find_blind()
        hidden = ~seen if blind is None else ~(seen | blind[..., None])
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(hidden, -math.inf)[:, None]

    def count_pairs(self, most: int | None = None) -> int:
        """Counts query-key pairs that the mask allows in all rows, which is what attention costs.

        Args:
            most: limit on the keys counted for each query (sparse attention); None is no limit.
        """
        i, j = self.query.index, self.key.index
        if self.key.length == 0:
            return 0
        most = self.key.length if most is None else most
        first, last = int(j[0]), int(j[-1])
        ring = last - first != self.key.length - 1  # keys of a ring buffer are not in order of arrival
        packed = self.query.segment is not None or self.key.segment is not None
        if ring or packed or self.prefix is not None or not self._has_blocks_of_indices():
            return int(self.materialize().sum(dim=-1).clamp(max=most).sum())
        # Without padding the keys of a query are an interval: count them without a matrix.
        low, high = torch.full_like(i, first), torch.full_like(i, last)
        if self.block is not None:
            low = torch.maximum(low, (i // self.block - self.look_back) * self.block)
            high = torch.minimum(high, (i // self.block + self.look_back + 1) * self.block - 1)
        if self.causal:
            high = torch.minimum(high, i)
        if self.window is not None:
            low, high = torch.maximum(low, i - self.window + 1), torch.minimum(high, i + self.window - 1)
        return int((high - low + 1).clamp(min=0, max=most).sum())

    def _has_blocks_of_indices(self) -> bool:
        """True if blocks, which are counted by position, can be counted by index."""
        sides = (self.query, self.key)
        return self.block is None or all(torch.equal(side.position, side.index[None]) for side in sides)
