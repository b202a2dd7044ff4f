"""Prepared data sets on disk: complete or absent, even after a kill or with several writers at once."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tokenizers

from zoo.data.interfaces import Vocabulary
from zoo.data.ragged import RaggedArray
from zoo.data.special_tokens import protect_special_tokens
from zoo.system.files import (
    Damaged,
    clear_drafts,
    compute_digest,
    make_draft_path,
    publish_folder,
    require_digest,
    set_aside,
    write_file,
)

_METADATA = "meta.json"
_TOKENIZER = "tokenizer.json"
_MANIFEST = "manifest.sha256"
"""Lists all files with their SHA-256, as ``sha256sum --check`` reads it."""
_log = logging.getLogger("zoo")


@dataclass(frozen=True)
class StoredData:
    """A prepared data set that was read from the cache; for its attributes see :class:`Metadata`."""

    tokenizer: tokenizers.Tokenizer
    vocabulary: Vocabulary
    fingerprint: str
    bytes: Mapping[str, int]
    lost: Mapping[str, float]
    columns: Mapping[str, RaggedArray]


def load_stored_data(folder: Path) -> StoredData | None:
    """Loads a prepared data set; returns None if it is absent or damaged.

    A damaged folder is set aside, with a warning.
    """
    if not folder.is_dir():
        return None
    try:
        return _load(folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            aside = set_aside(folder)
            _log.warning("prepared data in %s: %s: set aside as %s, and tokenized again", folder, error, aside)
        return None


def _load(folder: Path) -> StoredData:
    _require_manifest(folder)
    meta = json.loads((folder / _METADATA).read_text(encoding="utf-8"))
    text = (folder / _TOKENIZER).read_text(encoding="utf-8")
    vocabulary = Vocabulary(**{**meta["vocabulary"], "sentinels": tuple(meta["vocabulary"]["sentinels"])})
    return StoredData(
        protect_special_tokens(tokenizers.Tokenizer.from_str(text)),
        vocabulary,
        meta["fingerprint"],
        meta["bytes"],
        meta["lost"],
        {name: RaggedArray.open(folder / name, meta["dtype"]) for name in meta["columns"]},
    )


def store_data(folder: Path, fill: Callable[[Path], Metadata]) -> None:
    """Writes a prepared data set and publishes it atomically; of several writers, the first wins.

    Args:
        folder: final path of the data set.
        fill: writes the columns to the folder that it is given, and returns their metadata.
    """
    clear_drafts(folder.parent, folder.name)
    draft = make_draft_path(folder)
    draft.mkdir(parents=True)
    try:
        meta = fill(draft)
        write_file(draft / _METADATA, json.dumps(meta.as_json(), indent=1))
        write_file(draft / _TOKENIZER, meta.tokenizer)
        write_file(
            draft / _MANIFEST, "".join(f"{compute_digest(file)}  {file.name}\n" for file in sorted(draft.iterdir()))
        )
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@dataclass(frozen=True)
class Metadata:
    """Description of the files of a prepared data set.

    Attributes:
        tokenizer: content of ``tokenizer.json``.
        vocabulary: number of tokens and ids of the special tokens.
        dtype: of the token ids.
        fingerprint: SHA-256 over texts and tokenization rules.
        bytes: UTF-8 bytes to predict, by split.
        lost: fraction of the bytes that are lost when the tokens are decoded, by split.
        columns: names of the stored columns, as ``train.source``.
    """

    tokenizer: str
    vocabulary: Vocabulary
    dtype: str
    fingerprint: str
    bytes: Mapping[str, int]
    lost: Mapping[str, float]
    columns: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns the content of ``meta.json``; the tokenizer has its own file."""
        return {name: value for name, value in asdict(self).items() if name != "tokenizer"}


def _publish(draft: Path, folder: Path) -> None:
    try:
        publish_folder(draft, folder)
    except OSError:
        if not (folder / _METADATA).exists():
            raise


def _require_manifest(folder: Path) -> None:
    """Raises :class:`Damaged` unless the files match the SHA-256 digests in the manifest."""
    lines = (folder / _MANIFEST).read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if listed.keys() != {file.name for file in folder.iterdir()} - {_MANIFEST}:
        raise Damaged(f"{folder / _MANIFEST} must list the files beside it: got {', '.join(listed) or 'none'}")
    for name, digest in listed.items():
        require_digest(folder / name, digest)
