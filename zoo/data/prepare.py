"""From texts to rows of tokens: trains the tokenizer, encodes both splits once, and keeps the result on disk."""

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
from zoo.data import store
from zoo.data.encode import SplitSize, SplitWriter, columns, dtype_of, records, texts
from zoo.data.interfaces import Documents, Pairs, Split, Tokenizer, Vocabulary
from zoo.data.rows import PackedDocuments, PaddedPairs, Rows
from zoo.data.special import COMMON, Required, added_tokens, protect

# Raised whenever the same source and tokenizer would be stored differently.
_FORMAT = 2
_SPLITS: tuple[Split, ...] = get_args(Split)
_log = logging.getLogger("zoo")


@dataclass(frozen=True)
class Prepared:
    """A data set as tokens.

    Attributes:
        form: ``documents`` or ``pairs``.
        vocabulary: its size, and the ids of the special tokens.
        tokenizer: what turned the texts into tokens.
        fingerprint: sha256 over the texts of both splits and how they become tokens: equal if and only if the data are,
            whatever special tokens the objective needs.
        train: rows to learn from.
        validation: rows to be judged by.
        lost: by split, the share of its UTF-8 bytes that the tokenizer does not give back.
    """

    form: str
    vocabulary: Vocabulary
    tokenizer: tokenizers.Tokenizer
    fingerprint: str
    train: Rows
    validation: Rows
    lost: Mapping[str, float]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without special ones around it."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens; special ones are skipped."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)


def prepare(
    source: Documents | Pairs, tokenizer: Tokenizer, length: int, cache: Path, required: Required = COMMON
) -> Prepared:
    """Make the data ready for training, or find it in ``cache``.

    Args:
        source: where the texts come from.
        tokenizer: trained on the training split only.
        length: tokens of a row; what a pair may take with its special tokens.
        cache: folder for prepared data; several processes may use it at once.
        required: special tokens of the objective.

    Raises:
        Refused: if a split is empty, training has not one full row, a pair is longer than ``length``, or the texts
            themselves are refused.
    """
    require_positive("length", length)
    folder = cache / _key(source, tokenizer, required)
    stored = store.read(folder)
    if stored is None:
        store.write(folder, partial(_fill, source, tokenizer, required))
        stored = store.read(folder)
    if stored is None:
        raise Refused(f"prepared data in {folder} cannot be read back: is the disk full?")
    train, validation = (_rows(source.form, stored, split, length) for split in _SPLITS)
    return Prepared(
        source.form, stored.vocabulary, stored.tokenizer, stored.fingerprint, train, validation, stored.lost
    )


def _key(source: Documents | Pairs, tokenizer: Tokenizer, required: Required) -> str:
    parts = (str(_FORMAT), source.form, source.identity(), tokenizer.identity(), str(required), tokenizers.__version__)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _fill(source: Documents | Pairs, tokenizer: Tokenizer, required: Required, folder: Path) -> store.Meta:
    """Write the columns of both splits into ``folder``."""
    _log.info("tokenizing %s: %s", source.identity(), tokenizer.identity())
    built = protect(tokenizer.build(texts(source, "train"), required))
    vocabulary = Vocabulary.of(built, tokenizer.special(built))
    kept, dtype = columns(source.form, vocabulary), dtype_of(vocabulary)
    digest = hashlib.sha256()
    sizes: dict[str, SplitSize] = {}
    for split in _SPLITS:
        writer = SplitWriter(split, built, vocabulary, kept, folder, dtype)
        sizes[split] = writer.write(records(source, split), digest)
    text = built.to_str()
    digest.update(_rules(built).encode())
    names = tuple(f"{split}.{column.name}" for split in _SPLITS for column in kept)
    sized, lost = ({split: getattr(size, part) for split, size in sizes.items()} for part in ("bytes", "lost"))
    return store.Meta(text, vocabulary, dtype, digest.hexdigest(), sized, lost, names)


def _rules(built: tokenizers.Tokenizer) -> str:
    """How ``built`` divides texts into tokens, which does not depend on the special tokens that it has."""
    rules, special = json.loads(built.to_str()), added_tokens(built)
    rules["added_tokens"] = [token["content"] for token in rules["added_tokens"] if not token["special"]]
    vocabulary = rules["model"].get("vocab")
    if isinstance(vocabulary, dict):
        rules["model"]["vocab"] = [
            token for token in sorted(vocabulary, key=vocabulary.__getitem__) if token not in special
        ]
    return json.dumps({**rules, "post_processor": None}, sort_keys=True)


def _rows(form: str, stored: store.Stored, split: Split, length: int) -> Rows:
    pad, size = stored.vocabulary.pad, stored.bytes[split]
    if form == Documents.form:
        documents = PackedDocuments(stored.columns[f"{split}.document"], length, pad, size)
        _require_one_row(documents, split)
        return documents
    pairs = PaddedPairs(stored.columns[f"{split}.source"], stored.columns[f"{split}.target"], pad, size)
    _require_fit(pairs, split, length)
    return pairs


def _require_one_row(documents: PackedDocuments, split: Split) -> None:
    # Validation may be shorter: its only row is padded, and still predicts every token once.
    tokens = len(documents.stream.values)
    if split == "train" and tokens < documents.length + 1:
        raise Refused(
            f"training has fewer tokens than one row: got {tokens} tokens, length + 1 = {documents.length + 1}"
        )


def _require_fit(pairs: PaddedPairs, split: Split, length: int) -> None:
    # A decoder reads bos source sep target eos as one row; eos is stored with the target.
    needed = pairs.source.lengths() + pairs.target.lengths() + 2
    over = int(np.count_nonzero(needed > length))
    if over:
        longest = int(needed.max())
        raise Refused(
            f"{over} of {len(pairs)} {split} pairs are longer than length={length}: "
            f"the longest has {longest} tokens, 3 special ones included"
        )
