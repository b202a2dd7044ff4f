"""User-supplied files: existence checks, UTF-8 decoding and content hashes, with precise errors."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from zoo.checks import Refused
from zoo.system.files import compute_digest
from zoo.system.input_files import read_bytes


def require_path(owner: str, path: str) -> Path:
    """Returns the file or folder that option ``path`` of ``owner`` names; raises :class:`Refused` if it is missing."""
    if not path:
        raise Refused(f"{owner}: path must name a file or folder: got path=''")
    found = Path(path).expanduser()
    if not os.path.exists(found):  # unlike found.exists(), False for a name that no file can have
        raise Refused(f"{owner}: path does not exist: got path={path}")
    return found


def require_file(owner: str, path: str) -> Path:
    """Returns the file that option ``path`` of ``owner`` names; raises :class:`Refused` if it is missing."""
    found = require_path(owner, path)
    if not found.is_file():
        raise Refused(f"{owner}: path must be a file: got path={path}")
    return found


def read_nonempty_text(owner: str, file: Path) -> str:
    """Reads a UTF-8 file without its byte order mark; line ends stay as they are.

    Raises:
        Refused: if the file is not UTF-8 or contains only whitespace.
    """
    data = read_bytes(file)
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        where = f"byte {error.start} (line {line}) is 0x{data[error.start]:02x}"
        raise Refused(f"{owner}: {file} is not UTF-8: {where}") from None
    if not text.strip():
        raise Refused(f"{owner}: {file} is empty: got {len(data)} bytes without text")
    return text


def digest_files(files: Iterable[Path]) -> str:
    """Returns a hash of paths and contents; sizes and modification times are not trusted."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.resolve()}\0{digest_file(file)}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def digest_file(file: Path) -> str:
    """Returns the SHA-256 of a file's content in hexadecimal.

    The digest is cached until the file is replaced or written to. Size and modification time, which anyone can set, do
    not suffice to detect that: inode and change time (ctime) are compared too.
    """
    stat = file.stat()
    seen = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return _digest_cached(file.resolve(), seen)


@functools.lru_cache(maxsize=8192)
def _digest_cached(file: Path, seen: tuple[int, ...]) -> str:
    return compute_digest(file)
