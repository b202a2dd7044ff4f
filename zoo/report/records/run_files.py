"""Readers for the files of a run's folder, which may be missing or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.runs.state_files import read_record
from zoo.system.files import Damaged


def read_json(path: Path) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Reads a JSON file of a run; returns None and a note if it cannot be read."""
    try:
        return read_record(path), ()
    except Damaged as error:
        return None, (f"{error}; the run counts as unfinished",)
