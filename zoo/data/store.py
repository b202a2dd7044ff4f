"""A prepared data set on disk: complete or absent, whoever is killed and however many prepare at once."""

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
from zoo.data.ragged import Ragged
from zoo.data.special import protect
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

_META = "meta.json"
_TOKENIZER = "tokenizer.json"
_MANIFEST = "manifest.sha256"
"""Lists all files with their SHA-256, as ``sha256sum --check`` reads it."""
_log = logging.getLogger("zoo")


@dataclass(frozen=True)
class Stored:
    """What was found in a folder of the cache."""

    tokenizer: tokenizers.Tokenizer
    vocabulary: Vocabulary
    fingerprint: str
    bytes: Mapping[str, int]
    lost: Mapping[str, float]
    columns: Mapping[str, Ragged]


def read(folder: Path) -> Stored | None:
    """What ``folder`` holds, or None if it is absent. One that is damaged is set aside, which is logged, and absent."""
    if not folder.is_dir():
        return None
    try:
        return _open(folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            _log.warning("prepared data in %s: %s: set aside as %s, and made again", folder, error, set_aside(folder))
        return None


def _open(folder: Path) -> Stored:
    _require_as_listed(folder)
    meta = json.loads((folder / _META).read_text(encoding="utf-8"))
    text = (folder / _TOKENIZER).read_text(encoding="utf-8")
    vocabulary = Vocabulary(**{**meta["vocabulary"], "sentinels": tuple(meta["vocabulary"]["sentinels"])})
    return Stored(
        protect(tokenizers.Tokenizer.from_str(text)),
        vocabulary,
        meta["fingerprint"],
        meta["bytes"],
        meta["lost"],
        {name: Ragged.open(folder / name, meta["dtype"]) for name in meta["columns"]},
    )


def write(folder: Path, fill: Callable[[Path], Meta]) -> None:
    """Let ``fill`` write into a fresh folder and put it in place in one step; who comes second yields to the first."""
    clear_drafts(folder.parent, folder.name)
    draft = make_draft_path(folder)
    draft.mkdir(parents=True)
    try:
        meta = fill(draft)
        write_file(draft / _META, json.dumps(meta.as_json(), indent=1))
        write_file(draft / _TOKENIZER, meta.tokenizer)
        write_file(
            draft / _MANIFEST, "".join(f"{compute_digest(file)}  {file.name}\n" for file in sorted(draft.iterdir()))
        )
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
    lost: Mapping[str, float]
    columns: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As it is written."""
        return {name: value for name, value in asdict(self).items() if name != "tokenizer"}


def _publish(draft: Path, folder: Path) -> None:
    try:
        publish_folder(draft, folder)
    except OSError:
        if not (folder / _META).exists():
            raise


def _require_as_listed(folder: Path) -> None:
    """See that each file is as it was written: all are read once."""
    lines = (folder / _MANIFEST).read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if listed.keys() != {file.name for file in folder.iterdir()} - {_MANIFEST}:
        raise Damaged(f"{folder / _MANIFEST} must list the files beside it: got {', '.join(listed) or 'none'}")
    for name, digest in listed.items():
        require_digest(folder / name, digest)
