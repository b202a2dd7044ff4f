"""The source files of the standard library, as text: read, never imported."""

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

# Installed packages, tests, and tables that Python's build wrote: not what people wrote to be read.
_SKIPPED = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "pydoc_data", "__pycache__"})
_GENERATED = "_sysconfigdata"


@cache
def _files() -> tuple[tuple[str, Path], ...]:
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if name not in _SKIPPED]  # not gone into: there may be very much
        named = (Path(folder, name) for name in files if name.endswith(".py") and not name.startswith(_GENERATED))
        found += [(file.relative_to(root).as_posix(), file) for file in named]
    if not found:
        raise Refused(f"this Python has no sources of its standard library: none found below {root}")
    return tuple(sorted(found))


def sources() -> Iterator[tuple[str, str]]:
    """Name (path below the library's root, with slashes) and text of every source file, sorted by name."""
    for name, file in _files():
        with tokenize.open(file) as opened:
            yield name, opened.read()


@cache
def identity() -> str:
    """Version of Python, and a hash of the names and contents of its source files."""
    digest = hashlib.sha256()
    for name, file in _files():
        digest.update(f"{name}\0{digest_file(file)}\n".encode())
    return f"python={platform.python_version()} files={digest.hexdigest()[:16]}"


def distinct(documents: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Name to text, without blank texts and exact repetitions; the first name keeps the text."""
    names: dict[str, str] = {}
    for name, text in documents:
        if text.strip():
            names.setdefault(text, name)
    return {name: text for text, name in names.items()}
