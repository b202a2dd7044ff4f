"""Tokens of a row and attention masks, kept as structures and turned into tensors only where a kernel needs one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Order, positions and segments of the tokens of a batch of rows.

    Args:
        index: order of arrival, ``[length]``; decides causality and windows.
        position: position given to the position component, ``[batch or 1, length]``; restarts with each document.
        segment: document of each token in a packed row, ``[batch, length]``; tokens of different segments do not attend
            to each other, and negative segments are padding. None: each row is one document without padding.
    """

    index: Tensor
    position: Tensor
    segment: Tensor | None = None

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
        return cls(index, index[None] if position is None else position, segment)

    @property
    def length(self) -> int:
        """Number of tokens in a row."""
        return len(self.index)


@dataclass(frozen=True)
class Mask:
    """The keys that each query may attend to.

    Args:
        query: tokens of the queries.
        key: tokens of the keys.
        causal: if True, a query does not attend to keys that arrived after it.
        window: a query at i attends to keys at j with ``abs(i - j) < window``; None is no limit.
        prefix: ``[batch]``; every query may attend to the first ``prefix`` keys of its row, even if ``causal``.
    """

    query: Tokens
    key: Tokens
    causal: bool = False
    window: int | None = None
    prefix: Tensor | None = None

    def restrict_window(self, window: int | None) -> Mask:
        """Returns this mask with a window of at most ``window``; None leaves it unchanged."""
        if window is None:
            return self
        return replace(self, window=window if self.window is None else min(window, self.window))

    @property
    def is_plain(self) -> bool:
        """True if ``causal`` alone describes the mask, so that a kernel needs no mask tensor."""
        same = self.query is self.key
        limited = self.window is not None and not (same and self.window >= self.key.length)
        padded = self.query.segment is not None or self.key.segment is not None
        return (same or not self.causal) and not padded and not limited and self.prefix is None

    def materialize(self) -> Tensor:
        """Returns a bool tensor, True where a query may attend to a key: ``[batch or 1, query, key]``."""
        i, j = self.query.index[:, None], self.key.index[None, :]  # [query, 1], [1, key]
        seen = torch.ones(1, len(i), j.shape[1], dtype=torch.bool, device=i.device)
        if self.causal:
            seen = (j <= i)[None]
            if self.prefix is not None:
                seen = seen | (j[None] < self.prefix[:, None, None])  # [batch, query, key]
        if self.window is not None:
            seen = seen & ((i - j).abs() < self.window)
        if self.query.segment is not None and self.key.segment is not None:
            seen = seen & (self.query.segment[:, :, None] == self.key.segment[:, None, :])
        for segment, dim in ((self.query.segment, 2), (self.key.segment, 1)):
            if segment is not None:  # padding neither attends nor is attended to
                seen = seen & (segment >= 0).unsqueeze(dim)
        return seen

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
        if ring or self.query.segment is not None or self.key.segment is not None or self.prefix is not None:
            return int(self.materialize().sum(dim=-1).clamp(max=most).sum())
        # Without padding the keys of a query are an interval: count them without a matrix.
        low, high = torch.full_like(i, first), torch.full_like(i, last)
        if self.causal:
            high = torch.minimum(high, i)
        if self.window is not None:
            low, high = torch.maximum(low, i - self.window + 1), torch.minimum(high, i + self.window - 1)
        return int((high - low + 1).clamp(min=0, max=most).sum())
