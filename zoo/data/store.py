"""A prepared data set on disk: complete or absent, whoever is killed and however many prepare at once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tokenizers

from zoo.data.interfaces import Vocabulary
from zoo.data.ragged import Ragged
from zoo.data.special import protect
from zoo.files import clear_drafts, draft_path, publish_folder, write_file

_META = "meta.json"
_TOKENIZER = "tokenizer.json"
_log = logging.getLogger("zoo")


@dataclass(frozen=True)
class Stored:
    """What was found in a folder of the cache."""

    tokenizer: tokenizers.Tokenizer
    vocabulary: Vocabulary
    fingerprint: str
    bytes: Mapping[str, int]
    columns: Mapping[str, Ragged]


def read(folder: Path) -> Stored | None:
    """What ``folder`` holds, or None if it is absent. One that is damaged is removed, which is logged, and absent."""
    if not folder.is_dir():
        return None
    try:
        return _open(folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        _log.warning("prepared data in %s is damaged and will be made again: %s", folder, error)
        _discard(folder)
        return None


def _open(folder: Path) -> Stored:
    meta = json.loads((folder / _META).read_text(encoding="utf-8"))
    text = (folder / _TOKENIZER).read_text(encoding="utf-8")
    if _sha256(text) != meta["tokenizer"]:
        raise ValueError(f"{_TOKENIZER} was changed")
    vocabulary = Vocabulary(**{**meta["vocabulary"], "sentinels": tuple(meta["vocabulary"]["sentinels"])})
    return Stored(
        protect(tokenizers.Tokenizer.from_str(text)),
        vocabulary,
        meta["fingerprint"],
        meta["bytes"],
        {name: Ragged.open(folder / name, meta["dtype"]) for name in meta["columns"]},
    )


def write(folder: Path, fill: Callable[[Path], Meta]) -> None:
    """Let ``fill`` write into a fresh folder and put it in place in one step; who comes second yields to the first."""
    clear_drafts(folder.parent, folder.name)
    draft = draft_path(folder)
    draft.mkdir(parents=True)
    try:
        meta = fill(draft)
        write_file(draft / _META, json.dumps(meta.as_json(), indent=1))
        write_file(draft / _TOKENIZER, meta.tokenizer)
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@dataclass(frozen=True)
class Meta:
    """What is known of the files of a folder, apart from their content."""

    tokenizer: str
    vocabulary: Vocabulary
    dtype: str
    fingerprint: str
    bytes: Mapping[str, int]
    columns: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As it is written."""
        return {**asdict(self), "tokenizer": _sha256(self.tokenizer)}


def _publish(draft: Path, folder: Path) -> None:
    try:
        publish_folder(draft, folder)
    except OSError:
        if not (folder / _META).exists():
            raise


def _discard(folder: Path) -> None:
    """Remove in one step, so that nobody finds half of it."""
    doomed = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
    try:
        os.rename(folder, doomed)
    except FileNotFoundError:  # another process was faster
        return
    shutil.rmtree(doomed, ignore_errors=True)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
