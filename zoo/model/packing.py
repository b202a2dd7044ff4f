"""Unpacks packed rows into documents, for components that work on whole documents only."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor


@final
class PackedDocuments:
    """Maps packed rows to one row per document, padded on the right, and back; padding of the packed rows is dropped.

    Attributes:
        lengths: tokens of each document, ``[documents]``; documents are ordered by row, then by segment.
    Args:
        segment: document of each token ``[batch, length]``; negative is padding.
    """

    def __init__(self, segment: Tensor) -> None:
        self.shape = segment.shape
        row, column = (segment >= 0).nonzero(as_tuple=True)  # [real tokens] each
        number = row * (segment.max().clamp(min=0) + 1) + segment[row, column]
        # document: [real tokens], from 0; equal segments in different rows are different documents.
        _, document, self.lengths = torch.unique(number, return_inverse=True, return_counts=True)
        order = document.argsort(stable=True)
        self._row, self._column, self._document = row[order], column[order], document[order]
        begin = self.lengths.cumsum(0) - self.lengths  # index of each document's first token in ``order``
        self._place = torch.arange(len(order), device=segment.device) - begin[self._document]

    def unpack(self, x: Tensor) -> Tensor:
        """Converts ``[batch, length, …]`` to ``[documents, longest, …]``, zero after the end of a document."""
        longest = int(self.lengths.max()) if len(self.lengths) else 0
        rows = x.new_zeros(len(self.lengths), longest, *x.shape[2:])
        return rows.index_put((self._document, self._place), x[self._row, self._column])

    def pack(self, rows: Tensor) -> Tensor:
        """Converts ``[documents, longest, …]`` back to ``[batch, length, …]``, zero at padding."""
        x = rows.new_zeros(*self.shape, *rows.shape[2:])
        return x.index_put((self._row, self._column), rows[self._document, self._place])
