"""Durable files: a write is whole or absent after a kill or a power loss, and content can be checked against a digest.

Every file goes through the same steps: a draft beside the target, fsync of the draft, rename, fsync of the folder. On a
journaling file system, the name then refers either to the old content or to the new one.

    write_file(folder / "result.json", text)
    with replace_file(folder / "model.safetensors") as draft:  # for a library that writes files itself
        save_file(tensors, draft)
    publish_folder(draft, folder)  # a whole folder, filled at draft_path(folder)
    require_digest(path, digest)   # raises Damaged, which names the file
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from zoo.checks import Refused
from zoo.system.processes import identify_process, is_gone

_SUFFIX = ".draft"


class Damaged(Refused):
    """A file is not what was written: it was cut off, or some of its bits have changed."""


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file durably, in place of the one that may be there; folders that it needs are made.

    Args:
        path: the file. Its permissions follow the umask.
        content: text is written as UTF-8, line ends as they are.
    Raises:
        OSError: if it cannot be written, for example because the disk is full; the error carries ``path``.
    """
    data = content.encode() if isinstance(content, str) else content
    with replace_file(path) as draft:
        draft.write_bytes(data)


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield the path of a draft to write to; on leaving, it durably replaces ``path``.

    On an error the draft is removed and ``path`` stays as it was.

    Raises:
        OSError: if it cannot be written; the error carries ``path``, whatever the library raised that wrote.
    """
    draft = draft_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_drafts(path.parent, path.name)
        draft.touch()
        mode = draft.stat().st_mode & 0o777  # by the umask; some libraries write files that only the owner can read
        yield draft
        draft.chmod(mode)
        sync_file(draft)
        os.replace(draft, path)
        sync_folder(path.parent)
    except Exception as error:
        number = getattr(error, "errno", None) or errno.EIO
        raise OSError(number, getattr(error, "strerror", None) or _first_line(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def publish_folder(draft: Path, folder: Path) -> None:
    """Give a folder its name once all that is in it is on disk.

    Args:
        draft: a filled folder, at ``draft_path(folder)``.
        folder: its name from now on; absent, or an empty folder.
    Raises:
        OSError: if ``folder`` is there already and is not empty, or the disk fails.
    """
    for path in draft.rglob("*"):
        sync_folder(path) if path.is_dir() else sync_file(path)
    sync_folder(draft)
    os.rename(draft, folder)
    sync_folder(folder.parent)


def draft_path(path: Path) -> Path:
    """A free path where this process may prepare a file or folder: beside it, hidden, with the process in its name."""
    return path.with_name(f".{path.name}~{secrets.token_hex(4)}~{identify_process()}{_SUFFIX}")


def clear_drafts(folder: Path, name: str = "*") -> None:
    """Remove the drafts in a folder whose process was killed; those that are being written stay.

    Args:
        folder: where to look; may be absent.
        name: of the file or folder whose drafts are removed; all without it.
    """
    for draft in folder.glob(f".{name}~*{_SUFFIX}"):
        if is_gone(draft.name.removesuffix(_SUFFIX).split("~", 2)[-1], draft):
            shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk; a file system that cannot is left to its own pace."""
    with contextlib.suppress(OSError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_digest(path: Path, digest: str) -> None:
    """Read a file once and compare its SHA-256.

    Raises:
        Damaged: if it differs, or the file cannot be read.
    """
    try:
        found = file_digest(path)
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from error
    if found != digest:
        raise Damaged(f"{path} is damaged: its sha256 must be {digest[:12]}…, got {found[:12]}…")


def set_aside(path: Path) -> Path:
    """Rename what cannot be used to ``NAME.damaged-0``, or the next free number, and return where it lies now."""
    number = 0
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(target)
    return target


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
