"""The rows of a split, and how packed documents and padded pairs are made into batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from zoo.checks import Refused
from zoo.data.batch import Batch, DocumentBatch, PairBatch
from zoo.data.ragged import Ragged


class Rows(ABC):
    """The rows of a split. ``bytes``: UTF-8 bytes of its texts; of pairs, those of the targets."""

    bytes: int

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def batch(self, indices: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> Batch:
        """These rows, in this order."""


@dataclass(frozen=True)
class PackedDocuments(Rows):
    """Documents one after the other, cut into rows of ``length + 1`` tokens that overlap by one.

    So ``row[:-1]`` and ``row[1:]`` of all rows give every token but the very first as a target exactly once. The
    last row is filled up with padding.
    """

    stream: Ragged
    length: int
    pad: int
    bytes: int
    _span: np.ndarray[Any, np.dtype[np.int64]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_span", np.arange(self.length + 1))

    def __len__(self) -> int:
        return -(-(len(self.stream.values) - 1) // self.length)

    def batch(self, indices: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> DocumentBatch:
        """These rows, in this order."""
        starts = self._starts(indices)
        places = starts + self._span
        inside = places < len(self.stream.values)
        places = np.minimum(places, len(self.stream.values) - 1)
        document = np.searchsorted(self.stream.offsets, places, side="right") - 1
        begins = np.maximum(self.stream.offsets[document], starts)
        tokens = np.where(inside, self.stream.values[places], self.pad).astype(np.int64)
        segment = np.where(inside, document - document[:, :1], -1)
        position = np.where(inside, places - begins, 0)
        return DocumentBatch(torch.from_numpy(tokens), torch.from_numpy(segment), torch.from_numpy(position))

    def _starts(self, indices: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> Any:
        return _checked(indices, len(self))[:, None] * self.length


@dataclass(frozen=True)
class PaddedPairs(Rows):
    """Pairs, each filled up to the longest of its batch."""

    source: Ragged
    target: Ragged
    pad: int
    bytes: int

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, indices: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> PairBatch:
        """These pairs, in this order."""
        chosen = _checked(indices, len(self))
        source, source_length = self.source.gather(chosen, self.pad)
        target, target_length = self.target.gather(chosen, self.pad)
        return PairBatch(*(torch.from_numpy(part) for part in (source, target, source_length, target_length)))


def _checked(indices: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]], rows: int) -> Any:
    chosen = np.asarray(indices, dtype=np.int64)
    if len(chosen) == 0:
        raise Refused("a batch must have at least one row: got 0 indices")
    if chosen.min() < 0 or chosen.max() >= rows:
        raise Refused(f"indices must be from 0 to {rows - 1}: got {chosen.min()} to {chosen.max()}")
    return chosen
