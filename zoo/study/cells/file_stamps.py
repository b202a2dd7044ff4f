"""Modification times and sizes of files, by which a change is noticed without reading them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from zoo.runs.state_files import STATE_FILES


def stamp_files(path: Path) -> list[Any] | None:
    """Returns name, modification time, and size of a file, or of a folder and its entries; None if there is none."""
    try:
        inside = sorted(os.scandir(path), key=lambda item: item.name) if path.is_dir() else ()
        return [[os.fspath(each), (status := os.stat(each)).st_mtime_ns, status.st_size] for each in (path, *inside)]
    except (OSError, ValueError):
        return None


def stamp_run(path: Path) -> list[Any]:
    """Returns the stamps of the files in a run folder that determine the state of the run."""
    return [stamp_files(path / name) for name in STATE_FILES]
