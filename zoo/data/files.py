"""Files that users name: found, read as UTF-8 and told apart, with errors that say which and where."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from zoo.checks import Refused
from zoo.input_files import read_bytes


def existing(owner: str, path: str) -> Path:
    """The file or folder that option ``path`` of ``owner`` names."""
    if not path:
        raise Refused(f"{owner}: path must name a file or folder: got path=''")
    found = Path(path).expanduser()
    if not os.path.exists(found):  # unlike found.exists(), False for a name that no file can have
        raise Refused(f"{owner}: path does not exist: got path={path}")
    return found


def existing_file(owner: str, path: str) -> Path:
    """The file that option ``path`` of ``owner`` names."""
    found = existing(owner, path)
    if not found.is_file():
        raise Refused(f"{owner}: path must be a file: got path={path}")
    return found


def read_text(owner: str, file: Path) -> str:
    """The text of a UTF-8 file, line ends as they are, without a byte order mark; an empty file is refused."""
    data = read_bytes(file)
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        where = f"byte {error.start} (line {line}) is 0x{data[error.start]:02x}"
        raise Refused(f"{owner}: {file} is not UTF-8: {where}") from None
    if not text.strip():
        raise Refused(f"{owner}: {file} is empty: {len(data)} bytes, no text")
    return text


def signature(files: Iterable[Path]) -> str:
    """A hash of paths, sizes and times of change: cheap, and different once a file was written to."""
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat()
        digest.update(f"{file.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
