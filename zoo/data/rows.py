"""Rows of a split: packed documents or padded pairs, served in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from zoo.checks import Refused
from zoo.data.batch import Batch, DocumentBatch, PairBatch
from zoo.data.ragged import RaggedArray


class Rows(ABC):
    """The rows of a split.

    Attributes:
        bytes: UTF-8 bytes of the documents, or of the targets of pairs.
    """

    bytes: int

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def get_batch(self, indices: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> Batch:
        """Returns the batch of these rows, in this order."""


@dataclass(frozen=True)
class PackedDocuments(Rows):
    """Concatenated documents, cut into rows of ``length + 1`` tokens that overlap by one token.

    With inputs ``row[:-1]`` and targets ``row[1:]``, every token except the very first is a target exactly once. The
    last row is padded.
    """

    stream: RaggedArray
    length: int
    pad: int
    bytes: int
    _span: np.ndarray[Any, np.dtype[np.int64]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_span", np.arange(self.length + 1))

    def __len__(self) -> int:
        return -(-(len(self.stream.values) - 1) // self.length)

    def get_batch(self, indices: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> DocumentBatch:
        """Returns the batch of these rows, in this order."""
        starts = _check_indices(indices, len(self))[:, None] * self.length  # [row, 1]
        places = starts + self._span  # [row, length + 1], indices into the stream
        inside = places < len(self.stream.values)
        places = np.minimum(places, len(self.stream.values) - 1)
        document = np.searchsorted(self.stream.offsets, places, side="right") - 1
        begins = np.maximum(self.stream.offsets[document], starts)  # where the visible part of the document begins
        tokens = np.where(inside, self.stream.values[places], self.pad).astype(np.int64)
        segment = np.where(inside, document - document[:, :1], -1)
        position = np.where(inside, places - begins, 0)
        return DocumentBatch(torch.from_numpy(tokens), torch.from_numpy(segment), torch.from_numpy(position))


@dataclass(frozen=True)
class PaddedPairs(Rows):
    """Pairs, padded to the longest of their batch."""

    source: RaggedArray
    target: RaggedArray
    pad: int
    bytes: int

    def __len__(self) -> int:
        return len(self.source)

    def get_batch(self, indices: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> PairBatch:
        """Returns the batch of these pairs, in this order."""
        chosen = _check_indices(indices, len(self))
        source, source_length = self.source.gather(chosen, self.pad)
        target, target_length = self.target.gather(chosen, self.pad)
        return PairBatch(*(torch.from_numpy(part) for part in (source, target, source_length, target_length)))


def _check_indices(indices: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]], rows: int) -> Any:
    chosen = np.asarray(indices, dtype=np.int64)
    if len(chosen) == 0:
        raise Refused("a batch must have at least one row: got 0 indices")
    if chosen.min() < 0 or chosen.max() >= rows:
        raise Refused(f"indices must be from 0 to {rows - 1}: got {chosen.min()} to {chosen.max()}")
    return chosen
