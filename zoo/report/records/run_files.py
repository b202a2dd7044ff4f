"""Files of a run's folder, read in whatever state a run left them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.runs.state_files import read_record
from zoo.system.files import Damaged


def read_json(path: Path) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The record in a JSON file of a run; None, and a note, if it cannot be read."""
    try:
        return read_record(path), ()
    except Damaged as error:
        return None, (f"{error}; the run counts as not finished",)
