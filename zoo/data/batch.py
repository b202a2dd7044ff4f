"""What a model is trained on at one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DocumentBatch:
    """Rows of packed documents.

    Attributes:
        tokens: [row, length + 1], long; inputs are all but the last, targets all but the first.
        segment: [row, length + 1], long; numbers the documents of a row from 0; -1 is padding.
        position: [row, length + 1], long; counts from 0 within the part of a document that the row holds.
        partner: for each row another row of the split, drawn at random, where the objective asks for one.
    """

    tokens: Tensor
    segment: Tensor
    position: Tensor
    partner: DocumentBatch | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.tokens.shape[0]

    def to(self, device: torch.device | str) -> DocumentBatch:
        """The same batch on ``device``; does not wait for the copy."""
        tokens, segment, position = (
            part.to(device, non_blocking=True) for part in (self.tokens, self.segment, self.position)
        )
        return DocumentBatch(tokens, segment, position, None if self.partner is None else self.partner.to(device))

    def select(self, rows: Sequence[int]) -> DocumentBatch:
        """These rows, in this order."""
        chosen = list(rows)
        partner = None if self.partner is None else self.partner.select(rows)
        return DocumentBatch(self.tokens[chosen], self.segment[chosen], self.position[chosen], partner)


@dataclass(frozen=True)
class PairBatch:
    """Pairs of source and target, filled up with padding on the right.

    Attributes:
        source: [row, source], long; no special tokens.
        target: [row, target], long; ends with eos.
        source_length: [row], long; tokens of each source.
        target_length: [row], long; tokens of each target, eos included.
    """

    source: Tensor
    target: Tensor
    source_length: Tensor
    target_length: Tensor

    @property
    def rows(self) -> int:
        """How many pairs there are."""
        return self.source.shape[0]

    def to(self, device: torch.device | str) -> PairBatch:
        """The same batch on ``device``; does not wait for the copy."""
        parts = (self.source, self.target, self.source_length, self.target_length)
        return PairBatch(*(part.to(device, non_blocking=True) for part in parts))

    def select(self, rows: Sequence[int]) -> PairBatch:
        """These pairs, in this order."""
        chosen = list(rows)
        parts = (self.source, self.target, self.source_length, self.target_length)
        return PairBatch(*(part[chosen] for part in parts))


Batch = DocumentBatch | PairBatch
