"""What is known of a row of tokens, and who may see whom: kept as structure, dense only on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """What attention and position need to know of a row of tokens.

    Args:
        index: order of arrival, ``[length]``; decides causality and windows.
        position: what the position component sees, ``[batch or 1, length]``; restarts with each document.
        segment: documents packed into one row, ``[batch, length]``; different segments do not meet, negative is
            padding. None: one document without padding.
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
        """``length`` tokens that arrive from ``start`` on; without a position, they stand where they arrive."""
        index = torch.arange(start, start + length, device=device)
        return cls(index, index[None] if position is None else position, segment)

    @property
    def length(self) -> int:
        """Tokens in a row."""
        return len(self.index)


@dataclass(frozen=True)
class Mask:
    """Which keys each query sees.

    Args:
        query: the tokens that look.
        key: the tokens that are looked at.
        causal: a query sees no key that arrived after it.
        window: a query at i sees keys at j with ``abs(i - j) < window``; None is no limit.
        prefix: ``[batch]``; the first ``prefix`` keys of a row are seen by every query, whatever ``causal`` says.
    """

    query: Tokens
    key: Tokens
    causal: bool = False
    window: int | None = None
    prefix: Tensor | None = None

    def restrict_window(self, window: int | None) -> Mask:
        """The same with a window that is at most ``window``."""
        if window is None:
            return self
        return replace(self, window=window if self.window is None else min(window, self.window))

    @property
    def is_plain(self) -> bool:
        """Whether it is all there is to know that both sides are the same tokens, causal or not."""
        same = self.query is self.key
        limited = self.window is not None and not (same and self.window >= self.key.length)
        padded = self.query.segment is not None or self.key.segment is not None
        return (same or not self.causal) and not padded and not limited and self.prefix is None

    def materialize(self) -> Tensor:
        """True where a query sees a key: ``[batch or 1, query, key]``."""
        i, j = self.query.index[:, None], self.key.index[None, :]
        seen = torch.ones(1, len(i), j.shape[1], dtype=torch.bool, device=i.device)
        if self.causal:
            seen = (j <= i)[None]
            if self.prefix is not None:
                seen = seen | (j[None] < self.prefix[:, None, None])
        if self.window is not None:
            seen = seen & ((i - j).abs() < self.window)
        if self.query.segment is not None and self.key.segment is not None:
            seen = seen & (self.query.segment[:, :, None] == self.key.segment[:, None, :])
        for segment, dim in ((self.query.segment, 2), (self.key.segment, 1)):
            if segment is not None:
                seen = seen & (segment >= 0).unsqueeze(dim)
        return seen

    def count_pairs(self, most: int | None = None) -> int:
        """How many query-key pairs are seen in all rows, of each query ``most`` at most: what attention costs."""
        i, j = self.query.index, self.key.index
        if self.key.length == 0:
            return 0
        most = self.key.length if most is None else most
        first, last = int(j[0]), int(j[-1])
        ring = last - first != self.key.length - 1
        if ring or self.query.segment is not None or self.key.segment is not None or self.prefix is not None:
            return int(self.materialize().sum(dim=-1).clamp(max=most).sum())
        low, high = torch.full_like(i, first), torch.full_like(i, last)
        if self.causal:
            high = torch.minimum(high, i)
        if self.window is not None:
            low, high = torch.maximum(low, i - self.window + 1), torch.minimum(high, i + self.window - 1)
        return int((high - low + 1).clamp(min=0, max=most).sum())
