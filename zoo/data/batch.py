"""Batches of token rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DocumentBatch:
    """Rows of packed documents.

    Attributes:
        tokens: ``[row, length + 1]``, long. The inputs are ``tokens[:, :-1]``, the targets ``tokens[:, 1:]``.
        segment: ``[row, length + 1]``, long. Index of the document within its row, from 0; -1 for padding.
        position: ``[row, length + 1]``, long. Position within the part of the document that the row contains, from 0.
        partner: a second batch with a random row of the split for each row, if the objective needs one.
    """

    tokens: Tensor
    segment: Tensor
    position: Tensor
    partner: DocumentBatch | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.tokens.shape[0]

    def to(self, device: torch.device | str) -> DocumentBatch:
        """Copies the batch to ``device`` asynchronously (``non_blocking=True``)."""
        tokens, segment, position = (
            part.to(device, non_blocking=True) for part in (self.tokens, self.segment, self.position)
        )
        return DocumentBatch(tokens, segment, position, None if self.partner is None else self.partner.to(device))

    def select(self, rows: Sequence[int]) -> DocumentBatch:
        """Returns the batch of these rows, in this order."""
        chosen = list(rows)
        partner = None if self.partner is None else self.partner.select(rows)
        return DocumentBatch(self.tokens[chosen], self.segment[chosen], self.position[chosen], partner)


@dataclass(frozen=True)
class PairBatch:
    """Pairs of source and target, padded on the right.

    Attributes:
        source: ``[row, source]``, long, without special tokens.
        target: ``[row, target]``, long, each ending with eos.
        source_length: ``[row]``, long. Number of tokens of each source.
        target_length: ``[row]``, long. Number of tokens of each target, including eos.
    """

    source: Tensor
    target: Tensor
    source_length: Tensor
    target_length: Tensor

    @property
    def rows(self) -> int:
        """Number of pairs."""
        return self.source.shape[0]

    def to(self, device: torch.device | str) -> PairBatch:
        """Copies the batch to ``device`` asynchronously (``non_blocking=True``)."""
        parts = (self.source, self.target, self.source_length, self.target_length)
        return PairBatch(*(part.to(device, non_blocking=True) for part in parts))

    def select(self, rows: Sequence[int]) -> PairBatch:
        """Returns the batch of these pairs, in this order."""
        chosen = list(rows)
        parts = (self.source, self.target, self.source_length, self.target_length)
        return PairBatch(*(part[chosen] for part in parts))


Batch = DocumentBatch | PairBatch
