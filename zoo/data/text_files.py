"""Files that users name: found, read as UTF-8 and told apart, with errors that say which and where."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from zoo.checks import Refused
from zoo.system.files import compute_digest
from zoo.system.input_files import read_bytes


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
    """A hash of paths and contents, which are read as a stream; sizes and times of change are not trusted."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.resolve()}\0{content_digest(file)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def content_digest(file: Path) -> str:
    """sha256 of a file's content in hexadecimal.

    A process reads a file once, until it is another one or was written to: beside size and time of change, which
    anyone can set, that is told by its number and the time at which the file system itself saw a change.
    """
    stat = file.stat()
    seen = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return _digest(file.resolve(), seen)


@functools.lru_cache(maxsize=8192)
def _digest(file: Path, seen: tuple[int, ...]) -> str:
    return compute_digest(file)
