"""What a checkpoint contains beyond the model, kept for writing it again."""

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
    """What a checkpoint said beyond the model, and what is written again when the model is saved.

    Args:
        family: the published one that it came from; ``zoo`` if it never was in one.
        kept: options of config.json that change nothing of what the model computes (ids of special tokens).
        files: what lies beside, by name: tokenizer, generation config, pooling.
        task: a head that no part of the model is; it is written again in the same family.
    """

    family: str
    kept: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    task: KeptHead | None = None

    def get_architecture(self, family: Family) -> str | None:
        """The class that is written where the model goes back to its own family with its task head."""
        return self.task.architecture if self.task is not None and family.name == self.family else None


_ORIGIN, _FILES = "origin.json", "files"


def write_origin(origin: Origin, folder: Path) -> None:
    """Keep what a checkpoint said beyond the model in a folder of its own, for an export later on.

    A task head is not kept: after a training its body is another.
    """
    for name, content in origin.files.items():
        write_file(folder / _FILES / name, content)
    said = {"family": origin.family, "kept": origin.kept}
    write_file(folder / _ORIGIN, json.dumps(said, indent=1, ensure_ascii=False) + "\n")


def read_origin(folder: Path) -> Origin | None:
    """What :func:`write_origin` kept; None if the folder is not there.

    Names come from the folder itself, which a stranger may have made, so that none leads out of it.

    Raises:
        Refused: if something in it is not what is written there.
    """
    if not (folder / _ORIGIN).is_file():
        return None
    said, beside = read_json(folder / _ORIGIN), folder / _FILES
    family, kept = said.get("family"), said.get("kept")
    if not isinstance(family, str) or not isinstance(kept, dict):
        raise Refused(f"{folder / _ORIGIN}: must hold a family and options that are kept: got {str(said)[:60]}")
    paths = sorted(path for path in beside.rglob("*") if path.is_symlink() or not path.is_dir())
    if links := [path for path in paths if path.is_symlink()]:
        raise Refused(f"{links[0]} must be a file: got a link")
    files = {path.relative_to(beside).as_posix(): read_bytes(path, limits.JSON_BYTES) for path in paths}
    return Origin(family, kept, files)
