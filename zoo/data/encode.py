"""Texts to tokens, once: each split of a data set is encoded in chunks and written to memory-mapped files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers

from zoo.checks import Refused
from zoo.data.interfaces import Documents, Pairs, Split, Vocabulary
from zoo.data.ragged import Integers, RaggedWriter
from zoo.data.round_trip import decode_texts, lost_bytes

# An encoded character takes about 200 bytes until its token is written.
_CHUNK = 1 << 20
LONGEST = 1 << 24

Record = tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """One text of each record, and the special tokens around it."""

    name: str
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()


def columns(form: str, vocabulary: Vocabulary) -> tuple[Column, ...]:
    """What is stored of each record: ``bos document eos``, or ``source`` and ``target eos``."""
    if form == Documents.form:
        return (Column("document", (vocabulary.bos,), (vocabulary.eos,)),)
    return Column("source"), Column("target", suffix=(vocabulary.eos,))


def records(source: Documents | Pairs, split: Split) -> Iterator[Record]:
    """The texts of a split, one tuple per document or pair."""
    if isinstance(source, Documents):
        return ((text,) for text in source.documents(split))
    return iter(source.pairs(split))


@dataclass(frozen=True)
class SplitSize:
    """How large a split is.

    Attributes:
        bytes: UTF-8 bytes of the last column, which is what is to be predicted.
        lost: share of the bytes of all columns that the tokenizer does not give back, from 0 to 1.
    """

    bytes: int
    lost: float


@dataclass
class SplitWriter:
    """Encodes one split into ``folder``, counts its bytes and hashes its texts."""

    split: Split
    built: tokenizers.Tokenizer
    vocabulary: Vocabulary
    columns: tuple[Column, ...]
    folder: Path
    dtype: str

    def write(self, source: Iterator[Record], digest: hashlib._Hash) -> SplitSize:
        """Encode all records, and decode them again to see what is lost.

        Raises:
            Refused: if there is no record, or a text cannot be encoded or is too long.
        """
        writers = [RaggedWriter(self.folder / f"{self.split}.{column.name}", self.dtype) for column in self.columns]
        count = predicted = whole = lost = 0
        for chunk in _chunks(source):
            sizes = self._hash(chunk, digest, count)
            predicted, whole = predicted + sizes[-1], whole + sum(sizes)
            for column, writer, texts in zip(self.columns, writers, zip(*chunk, strict=True), strict=True):
                rows = self._encode(column, texts, count)
                writer.add(np.concatenate([column.prefix, row, column.suffix]).astype(self.dtype) for row in rows)
                decoded = decode_texts(self.built, rows, self.vocabulary.unk)
                lost += sum(map(lost_bytes, texts, decoded))
            count += len(chunk)
        if not count:
            raise Refused(f"the {self.split} split is empty: give more data or another fraction for validation")
        for writer in writers:
            writer.close()
        return SplitSize(predicted, min(1.0, lost / max(1, whole)))

    def _hash(self, chunk: Sequence[Record], digest: hashlib._Hash, first: int) -> list[int]:
        """Add the texts to the digest; UTF-8 bytes of each column."""
        sizes = [0] * len(self.columns)
        for number, record in enumerate(chunk, start=first):
            encoded = [self._utf8(column, number, text) for column, text in zip(self.columns, record, strict=True)]
            for column, data in zip(self.columns, encoded, strict=True):
                digest.update(f"{self.split} {column.name} {len(data)} ".encode() + data)
            sizes = [size + len(data) for size, data in zip(sizes, encoded, strict=True)]
        return sizes

    def _utf8(self, column: Column, number: int, text: str) -> bytes:
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            raise Refused(f"{self.split} {column.name} {number} is not valid Unicode: {error}") from None

    def _encode(self, column: Column, texts: Sequence[str], first: int) -> list[Integers]:
        encodings = self.built.encode_batch_fast(list(texts), add_special_tokens=False)
        rows = [np.array(encoding.ids, dtype=self.dtype) for encoding in encodings]
        for number, row in enumerate(rows, start=first):
            self._check(column, number, row)
        return rows

    def _check(self, column: Column, number: int, ids: Integers) -> None:
        if not len(ids) and column.name != "document":
            raise Refused(f"{self.split} {column.name} {number} has no tokens")
        written = ids[np.isin(ids, self.vocabulary.unwritable())]
        if len(written):
            token = self.built.id_to_token(int(written[0]))
            raise Refused(
                f"{self.split} {column.name} {number} contains {token!r}, which this tokenizer reads as a special token"
            )


def _chunks(source: Iterator[Record]) -> Iterator[list[Record]]:
    """Records in portions of about ``_CHUNK`` characters."""
    chunk: list[Record] = []
    size = 0
    for record in source:
        longest = max(map(len, record))
        if longest > LONGEST:
            raise Refused(
                f"a text has {longest} characters, at most {LONGEST} fit in memory: split it into smaller ones"
            )
        chunk.append(record)
        size += sum(map(len, record))
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def dtype_of(vocabulary: Vocabulary) -> str:
    """The smallest unsigned integer that holds every id."""
    return np.dtype(np.uint16 if vocabulary.size <= 1 << 16 else np.uint32).name


def texts(source: Documents | Pairs, split: Split) -> Iterator[str]:
    """All texts of a split, sources and targets alike."""
    return (text for record in records(source, split) for text in record)
