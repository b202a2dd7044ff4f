"""Sequences of different lengths in one memory-mapped file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Integers = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True)
class RaggedArray:
    """Sequences of different lengths; sequence ``i`` is ``values[offsets[i]:offsets[i + 1]]``."""

    values: Integers
    offsets: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Length of each sequence, ``[sequence]``."""
        return np.diff(self.offsets)

    def gather(self, indices: Sequence[int], fill: int) -> tuple[Integers, Integers]:
        """Gathers sequences into a matrix ``[sequence, longest]``, padded on the right with ``fill``.

        Returns:
            the matrix, and the lengths of the sequences.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        starts = self.offsets[chosen]
        lengths = self.offsets[chosen + 1] - starts
        columns = np.arange(lengths.max(initial=0))
        inside = columns < lengths[:, None]
        places = np.where(inside, starts[:, None] + columns, 0)
        return np.where(inside, self.values[places].astype(np.int64), fill), lengths

    @classmethod
    def open(cls, stem: Path, dtype: str) -> RaggedArray:
        """Memory-maps the files of a :class:`RaggedWriter`.

        Raises:
            ValueError: if the files do not match each other or ``dtype``.
            OSError: if a file is missing.
        """
        offsets = np.asarray(np.load(_add_suffix(stem, ".offsets.npy"), mmap_mode="r"))
        values = np.asarray(np.load(_add_suffix(stem, ".npy"), mmap_mode="r"))
        if values.dtype != np.dtype(dtype) or offsets.dtype != np.int64 or values.shape != (offsets[-1],):
            raise ValueError(f"{stem}: {values.dtype}{values.shape} does not match offsets up to {offsets[-1]}")
        return cls(values, offsets)


class RaggedWriter:
    """Writes sequences one by one, without keeping them in memory."""

    def __init__(self, stem: Path, dtype: str) -> None:
        self._stem = stem
        self._dtype = np.dtype(dtype)
        self._lengths: list[int] = []
        self._raw = _add_suffix(stem, ".raw").open("wb")

    def add(self, sequences: Iterable[Sequence[int] | Integers]) -> None:
        """Appends sequences."""
        for sequence in sequences:
            values = np.asarray(sequence, dtype=self._dtype)
            self._lengths.append(len(values))
            self._raw.write(values.tobytes())

    def close(self) -> None:
        """Writes the offsets, and converts the raw values to the ``.npy`` format."""
        self._raw.close()
        offsets = np.concatenate([[0], np.cumsum(self._lengths, dtype=np.int64)]).astype(np.int64)
        np.save(_add_suffix(self._stem, ".offsets.npy"), offsets)
        raw = _add_suffix(self._stem, ".raw")
        np.save(_add_suffix(self._stem, ".npy"), np.memmap(raw, self._dtype, "r"))
        raw.unlink()


def _add_suffix(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)
