"""Sequences of unequal length in one memory-mapped file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Integers = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True)
class Ragged:
    """Sequence ``i`` is ``values[offsets[i]:offsets[i + 1]]``."""

    values: Integers
    offsets: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """[sequence]: how long each is."""
        return np.diff(self.offsets)

    def gather(self, indices: Sequence[int], fill: int) -> tuple[Integers, Integers]:
        """Some of the sequences as one matrix [sequence, longest], filled up on the right, and their lengths."""
        chosen = np.asarray(indices, dtype=np.int64)
        starts = self.offsets[chosen]
        lengths = self.offsets[chosen + 1] - starts
        columns = np.arange(lengths.max(initial=0))
        inside = columns < lengths[:, None]
        places = np.where(inside, starts[:, None] + columns, 0)
        return np.where(inside, self.values[places].astype(np.int64), fill), lengths

    @classmethod
    def open(cls, stem: Path, dtype: str) -> Ragged:
        """Map what a ``RaggedWriter`` wrote.

        Raises:
            ValueError: if the files do not fit each other.
            OSError: if one is missing.
        """
        offsets = np.asarray(np.load(_file(stem, ".offsets.npy"), mmap_mode="r"))
        values = np.asarray(np.load(_file(stem, ".npy"), mmap_mode="r"))
        if values.dtype != np.dtype(dtype) or offsets.dtype != np.int64 or values.shape != (offsets[-1],):
            raise ValueError(f"{stem}: {values.dtype}{values.shape} does not fit offsets up to {offsets[-1]}")
        return cls(values, offsets)


class RaggedWriter:
    """Writes sequences one after the other, without holding them in memory."""

    def __init__(self, stem: Path, dtype: str) -> None:
        self._stem = stem
        self._dtype = np.dtype(dtype)
        self._lengths: list[int] = []
        self._raw = _file(stem, ".raw").open("wb")

    def add(self, sequences: Iterable[Sequence[int] | Integers]) -> None:
        """Append sequences."""
        for sequence in sequences:
            values = np.asarray(sequence, dtype=self._dtype)
            self._lengths.append(len(values))
            self._raw.write(values.tobytes())

    def close(self) -> None:
        """Write the offsets, and the values with a header in front, as numpy's own format has it."""
        self._raw.close()
        offsets = np.concatenate([[0], np.cumsum(self._lengths, dtype=np.int64)]).astype(np.int64)
        np.save(_file(self._stem, ".offsets.npy"), offsets)
        raw = _file(self._stem, ".raw")
        np.save(_file(self._stem, ".npy"), np.memmap(raw, self._dtype, "r"))
        raw.unlink()


def _file(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)
