"""Prepares a data set: trains the tokenizer, encodes both splits once, and caches the result on disk."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import tokenizers

from zoo.checks import Refused, require_positive
from zoo.data.encode import SplitSize, SplitWriter, choose_dtype, list_columns, read_records, read_texts
from zoo.data.interfaces import Documents, Pairs, Split, Tokenizer, Vocabulary
from zoo.data.rows import PackedDocuments, PaddedPairs, Rows
from zoo.data.special_tokens import COMMON, Required, get_added_special_tokens, protect_special_tokens
from zoo.data.store import Metadata, StoredData, load_stored_data, store_data

_FORMAT = 2
"""Version of the cache format; to be incremented with every change of what is stored."""
_SPLITS: tuple[Split, ...] = get_args(Split)
_log = logging.getLogger("zoo")


@dataclass(frozen=True)
class PreparedData:
    """A tokenized data set.

    Attributes:
        form: ``documents`` or ``pairs``.
        vocabulary: number of tokens and ids of the special tokens.
        tokenizer: the tokenizer of the texts.
        fingerprint: SHA-256 over the texts of both splits and the tokenization rules. Equal if and only if the data
            are equal, whatever special tokens the objective needs.
        train: training rows.
        validation: validation rows.
        lost: fraction of the UTF-8 bytes that are lost when the tokens are decoded, by split.
    """

    form: str
    vocabulary: Vocabulary
    tokenizer: tokenizers.Tokenizer
    fingerprint: str
    train: Rows
    validation: Rows
    lost: Mapping[str, float]

    def encode(self, text: str) -> list[int]:
        """Returns the tokens of a text, without special tokens around it."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of tokens, skipping special tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)


def tokenize_data(
    source: Documents | Pairs, tokenizer: Tokenizer, length: int, cache: Path, required: Required = COMMON
) -> PreparedData:
    """Tokenizes a data set, or loads it from ``cache``.

    Args:
        source: the data set.
        tokenizer: the tokenizer, trained on the training split only.
        length: tokens in a row of documents; maximum number of tokens of a pair, including special tokens.
        cache: folder for prepared data; several processes may use it at once.
        required: special tokens of the objective.

    Raises:
        Refused: if a split is empty, the training split does not fill one row, a pair is longer than ``length``, or a
            text cannot be read or encoded.
    """
    require_positive("length", length)
    folder = cache / _compute_cache_key(source, tokenizer, required)
    stored = load_stored_data(folder)
    if stored is None:
        store_data(folder, partial(_encode_splits, source, tokenizer, required))
        stored = load_stored_data(folder)
    if stored is None:
        raise Refused(f"prepared data in {folder} cannot be read back: is the disk full?")
    train, validation = (_make_rows(source.form, stored, split, length) for split in _SPLITS)
    return PreparedData(
        source.form, stored.vocabulary, stored.tokenizer, stored.fingerprint, train, validation, stored.lost
    )


def _compute_cache_key(source: Documents | Pairs, tokenizer: Tokenizer, required: Required) -> str:
    parts = (str(_FORMAT), source.form, source.identity(), tokenizer.identity(), str(required), tokenizers.__version__)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _encode_splits(source: Documents | Pairs, tokenizer: Tokenizer, required: Required, folder: Path) -> Metadata:
    """Writes the columns of both splits to ``folder``."""
    _log.info("tokenizing %s: %s", source.identity(), tokenizer.identity())
    built = protect_special_tokens(tokenizer.build(read_texts(source, "train"), required))
    vocabulary = Vocabulary.from_tokenizer(built, tokenizer.spell_special_tokens(built))
    columns, dtype = list_columns(source.form, vocabulary), choose_dtype(vocabulary)
    digest = hashlib.sha256()
    sizes: dict[str, SplitSize] = {}
    for split in _SPLITS:
        writer = SplitWriter(split, built, vocabulary, columns, folder, dtype)
        sizes[split] = writer.write(read_records(source, split), digest)
    text = built.to_str()
    digest.update(_serialize_rules(built).encode())
    names = tuple(f"{split}.{column.name}" for split in _SPLITS for column in columns)
    split_bytes = {split: size.bytes for split, size in sizes.items()}
    lost = {split: size.lost for split, size in sizes.items()}
    return Metadata(text, vocabulary, dtype, digest.hexdigest(), split_bytes, lost, names)


def _serialize_rules(built: tokenizers.Tokenizer) -> str:
    """Serializes the rules by which ``built`` splits texts into tokens, leaving out its special tokens."""
    rules, special = json.loads(built.to_str()), get_added_special_tokens(built)
    rules["added_tokens"] = [token["content"] for token in rules["added_tokens"] if not token["special"]]
    vocabulary = rules["model"].get("vocab")
    if isinstance(vocabulary, dict):
        rules["model"]["vocab"] = [
            token for token in sorted(vocabulary, key=vocabulary.__getitem__) if token not in special
        ]
    return json.dumps({**rules, "post_processor": None}, sort_keys=True)


def _make_rows(form: str, stored: StoredData, split: Split, length: int) -> Rows:
    pad, size = stored.vocabulary.pad, stored.bytes[split]
    if form == Documents.form:
        documents = PackedDocuments(stored.columns[f"{split}.document"], length, pad, size)
        _require_one_row(documents, split)
        return documents
    pairs = PaddedPairs(stored.columns[f"{split}.source"], stored.columns[f"{split}.target"], pad, size)
    _require_fit(pairs, split, length)
    return pairs


def _require_one_row(documents: PackedDocuments, split: Split) -> None:
    # The validation split may be shorter: its only row is padded, and still predicts every token once.
    tokens = len(documents.stream.values)
    if split == "train" and tokens < documents.length + 1:
        raise Refused(
            f"the train split must fill one row of length + 1 = {documents.length + 1} tokens: got {tokens} tokens"
        )


def _require_fit(pairs: PaddedPairs, split: Split, length: int) -> None:
    # A decoder reads "bos source sep target eos" as one row; eos is stored with the target.
    needed = pairs.source.lengths + pairs.target.lengths + 2
    over = int(np.count_nonzero(needed > length))
    if over:
        longest = int(needed.max())
        raise Refused(
            f"{over} of {len(pairs)} {split} pairs are longer than length={length}: "
            f"the longest has {longest} tokens, including 3 special tokens"
        )
