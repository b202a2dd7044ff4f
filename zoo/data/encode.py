"""Tokenizes the splits of a data set chunk by chunk into memory-mapped files."""

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
from zoo.data.round_trip import count_lost_bytes, decode_texts

_CHUNK_CHARACTERS = 1 << 20
"""Characters encoded at once; each takes about 200 bytes of memory until its token is written."""
MAX_CHARACTERS = 1 << 24
"""Maximum length of a text."""

Record = tuple[str, ...]
"""The texts of one document or pair."""


@dataclass(frozen=True)
class Column:
    """A text column of the records, with the special tokens around each text.

    Attributes:
        name: ``document``, ``source`` or ``target``.
        prefix: ids of the tokens before the text.
        suffix: ids of the tokens after the text.
    """

    name: str
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()


def list_columns(form: str, vocabulary: Vocabulary) -> tuple[Column, ...]:
    """Returns the columns stored for each record: ``bos document eos``, or ``source`` and ``target eos``."""
    if form == Documents.form:
        return (Column("document", (vocabulary.bos,), (vocabulary.eos,)),)
    return Column("source"), Column("target", suffix=(vocabulary.eos,))


def read_records(source: Documents | Pairs, split: Split) -> Iterator[Record]:
    """Iterates over the texts of a split, one tuple per document or pair."""
    if isinstance(source, Documents):
        return ((text,) for text in source.documents(split))
    return iter(source.pairs(split))


@dataclass(frozen=True)
class SplitSize:
    """Size of a split.

    Attributes:
        bytes: UTF-8 bytes of the last column, which contains the texts to predict.
        lost: fraction of the bytes of all columns that are lost when the tokens are decoded, from 0 to 1.
    """

    bytes: int
    lost: float


@dataclass
class SplitWriter:
    """Encodes one split into ``folder``, counts its bytes and hashes its texts."""

    split: Split
    tokenizer: tokenizers.Tokenizer
    vocabulary: Vocabulary
    columns: tuple[Column, ...]
    folder: Path
    dtype: str

    def write(self, source: Iterator[Record], digest: hashlib._Hash) -> SplitSize:
        """Encodes all records, and decodes them again to measure the loss.

        Args:
            source: the records of the split.
            digest: hash that is updated with the texts.
        Raises:
            Refused: if there are no records, or a text is too long or cannot be encoded.
        """
        writers = [RaggedWriter(self.folder / f"{self.split}.{column.name}", self.dtype) for column in self.columns]
        count = predicted = whole = lost = 0
        for chunk in _group_records(source):
            sizes = self._update_digest(chunk, digest, count)
            predicted, whole = predicted + sizes[-1], whole + sum(sizes)
            for column, writer, texts in zip(self.columns, writers, zip(*chunk, strict=True), strict=True):
                rows = self._tokenize(column, texts, count)
                writer.add(np.concatenate([column.prefix, row, column.suffix]).astype(self.dtype) for row in rows)
                decoded = decode_texts(self.tokenizer, rows, self.vocabulary.unk)
                lost += sum(map(count_lost_bytes, texts, decoded))
            count += len(chunk)
        if not count:
            raise Refused(f"the {self.split} split is empty: add data or change the validation fraction")
        for writer in writers:
            writer.close()
        return SplitSize(predicted, min(1.0, lost / max(1, whole)))

    def _update_digest(self, chunk: Sequence[Record], digest: hashlib._Hash, first: int) -> list[int]:
        """Adds the texts to the digest; returns the UTF-8 bytes of each column."""
        sizes = [0] * len(self.columns)
        for number, record in enumerate(chunk, start=first):
            encoded = [
                self._encode_utf8(column, number, text) for column, text in zip(self.columns, record, strict=True)
            ]
            for column, data in zip(self.columns, encoded, strict=True):
                digest.update(f"{self.split} {column.name} {len(data)} ".encode() + data)
            sizes = [size + len(data) for size, data in zip(sizes, encoded, strict=True)]
        return sizes

    def _encode_utf8(self, column: Column, number: int, text: str) -> bytes:
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            raise Refused(f"{self.split} {column.name} {number} is not valid Unicode: {error}") from None

    def _tokenize(self, column: Column, texts: Sequence[str], first: int) -> list[Integers]:
        encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        rows = [np.array(encoding.ids, dtype=self.dtype) for encoding in encodings]
        for number, row in enumerate(rows, start=first):
            self._check_tokens(column, number, row)
        return rows

    def _check_tokens(self, column: Column, number: int, ids: Integers) -> None:
        if not len(ids) and column.name != "document":
            raise Refused(f"{self.split} {column.name} {number} has no tokens")
        reserved = ids[np.isin(ids, self.vocabulary.reserved_ids)]
        if len(reserved):
            token = self.tokenizer.id_to_token(int(reserved[0]))
            raise Refused(
                f"{self.split} {column.name} {number} contains {token!r}, which this tokenizer reads as a special token"
            )


def _group_records(source: Iterator[Record]) -> Iterator[list[Record]]:
    """Groups records into chunks of about ``_CHUNK_CHARACTERS`` characters."""
    chunk: list[Record] = []
    size = 0
    for record in source:
        longest = max(map(len, record))
        if longest > MAX_CHARACTERS:
            raise Refused(
                f"a text must have at most {MAX_CHARACTERS} characters to fit in memory: got {longest}; split it up"
            )
        chunk.append(record)
        size += sum(map(len, record))
        if size >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def choose_dtype(vocabulary: Vocabulary) -> str:
    """Returns the name of the smallest unsigned dtype that holds every id."""
    return np.dtype(np.uint16 if vocabulary.size <= 1 << 16 else np.uint32).name


def read_texts(source: Documents | Pairs, split: Split) -> Iterator[str]:
    """Iterates over all texts of a split, both sources and targets."""
    return (text for record in read_records(source, split) for text in record)
