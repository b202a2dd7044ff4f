"""Content of a checkpoint beyond the model, kept so that it can be written again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo import limits
from zoo.checks import Refused
from zoo.hub.family import Family
from zoo.hub.task_heads import KeptHead
from zoo.system.files import write_file
from zoo.system.input_files import read_bytes, read_json


@dataclass(frozen=True)
class Origin:
    """Content of a checkpoint beyond the model, which is written again when the model is saved.

    Args:
        family: the published family that the model came from; ``zoo`` if there is none.
        kept: options of config.json that do not affect what the model computes (ids of special tokens).
        files: companion files by name: tokenizer, generation config, pooling.
        task: a task head, which is not part of the model; written again if the family is the same.
    """

    family: str
    kept: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    task: KeptHead | None = None

    def get_architecture(self, family: Family) -> str | None:
        """Returns the class to write if the model is saved in its own family with its task head, else None."""
        return self.task.architecture if self.task is not None and family.name == self.family else None


_ORIGIN, _FILES = "origin.json", "files"


def write_origin(origin: Origin, folder: Path) -> None:
    """Writes an origin to a folder, for a later export.

    The task head is left out: after training, it no longer matches its body.
    """
    for name, content in origin.files.items():
        write_file(folder / _FILES / name, content)
    entry = {"family": origin.family, "kept": origin.kept}
    write_file(folder / _ORIGIN, json.dumps(entry, indent=1, ensure_ascii=False) + "\n")


def read_origin(folder: Path) -> Origin | None:
    """Reads the folder of :func:`write_origin`; returns None if it does not exist.

    The folder may come from an untrusted source: links are refused, and file names are taken from the folder itself,
    so that none leads out of it.

    Raises:
        Refused: if the folder contains anything else.
    """
    if not (folder / _ORIGIN).is_file():
        return None
    content, beside = read_json(folder / _ORIGIN), folder / _FILES
    family, kept = content.get("family"), content.get("kept")
    if not isinstance(family, str) or not isinstance(kept, dict):
        raise Refused(f"{folder / _ORIGIN} must contain family and kept options: got {str(content)[:60]}")
    paths = sorted(path for path in beside.rglob("*") if path.is_symlink() or not path.is_dir())
    if links := [path for path in paths if path.is_symlink()]:
        raise Refused(f"{links[0]} must be a regular file: got a link")
    files = {path.relative_to(beside).as_posix(): read_bytes(path, limits.JSON_BYTES) for path in paths}
    return Origin(family, kept, files)
