"""Source files of Python's standard library, read as text without importing them."""

from __future__ import annotations

import hashlib
import os
import platform
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from zoo.checks import Refused
from zoo.data.text_files import digest_file

# Excluded: installed packages, tests, and tables that the build of Python generates.
_EXCLUDED = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "pydoc_data", "__pycache__"})
_GENERATED = "_sysconfigdata"


@cache
def _find_files() -> tuple[tuple[str, Path], ...]:
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _EXCLUDED]  # not visited: they may be very large
        paths = (Path(folder, name) for name in files if name.endswith(".py") and not name.startswith(_GENERATED))
        found += [(file.relative_to(root).as_posix(), file) for file in paths]
    if not found:
        raise Refused(f"this Python has no sources of its standard library: no .py file found below {root}")
    return tuple(sorted(found))


def read_sources() -> Iterator[tuple[str, str]]:
    """Yields the name (path relative to the library, with slashes) and text of every source file, sorted by name."""
    for name, file in _find_files():
        with tokenize.open(file) as opened:
            yield name, opened.read()


@cache
def identity() -> str:
    """Returns the version of Python and a hash of the names and contents of its source files."""
    digest = hashlib.sha256()
    for name, file in _find_files():
        digest.update(f"{name}\0{digest_file(file)}\n".encode())
    return f"python={platform.python_version()} files={digest.hexdigest()[:16]}"


def deduplicate(documents: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns texts by name without blank texts and duplicates; of equal texts the first is kept."""
    names: dict[str, str] = {}
    for name, text in documents:
        if text.strip():
            names.setdefault(text, name)
    return {name: text for text, name in names.items()}
