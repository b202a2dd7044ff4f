"""Atomic, durable file writes that survive a kill or a power loss, and verification of content by digest.

Every write takes the same steps: write a draft next to the target, fsync the draft, rename it, fsync the folder. On a
journaling file system, the name then refers to either the old content or the new one.

    write_file(folder / "result.json", text)
    with replace_file(folder / "model.safetensors") as draft:  # for a library that writes files itself
        save_file(tensors, draft)
    publish_folder(draft, folder)  # a whole folder, filled at make_draft_path(folder)
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
    """The error for a file whose content differs from what was written: it is truncated or corrupted."""


def write_file(path: Path, content: str | bytes) -> None:
    """Writes a file durably, replacing an existing one; missing parent folders are created.

    Args:
        path: Path of the file. Its permissions follow the umask.
        content: Content of the file; text is encoded as UTF-8, with line endings unchanged.

    Raises:
        OSError: If it cannot be written, for example because the disk is full; its ``filename`` is ``path``.
    """
    data = content.encode() if isinstance(content, str) else content
    with replace_file(path) as draft:
        draft.write_bytes(data)


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yields the path of a draft to write to, which durably replaces ``path`` on exit.

    On an error the draft is removed and ``path`` stays unchanged.

    Raises:
        OSError: If it cannot be written, whatever the writing library raised; its ``filename`` is ``path``.
    """
    draft = make_draft_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_drafts(path.parent, path.name)
        draft.touch()
        mode = draft.stat().st_mode & 0o777  # by umask; some libraries create files readable by the owner only
        yield draft
        draft.chmod(mode)
        sync_file(draft)
        os.replace(draft, path)
        sync_folder(path.parent)
    except Exception as error:
        number = getattr(error, "errno", None) or errno.EIO
        raise OSError(number, getattr(error, "strerror", None) or _get_first_line(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def publish_folder(draft: Path, folder: Path) -> None:
    """Renames a draft folder to its final name once all of its content is on disk.

    Args:
        draft: A complete folder at ``make_draft_path(folder)``.
        folder: Final path; must not exist or be an empty folder.

    Raises:
        OSError: If ``folder`` exists and is not empty, or the disk fails.
    """
    sync_tree(draft)
    os.rename(draft, folder)
    sync_folder(folder.parent)


def make_draft_path(path: Path) -> Path:
    """Returns an unused hidden path next to ``path`` for a draft of it, with this process in its name."""
    return path.with_name(f".{path.name}~{secrets.token_hex(4)}~{identify_process()}{_SUFFIX}")


def clear_drafts(folder: Path, name: str = "*") -> None:
    """Removes drafts in a folder that were left behind by killed processes; drafts in progress are kept.

    Args:
        folder: Folder to search; need not exist.
        name: Name of the file or folder whose drafts are removed; by default any.
    """
    for draft in folder.glob(f".{name}~*{_SUFFIX}"):
        if is_gone(draft.name.removesuffix(_SUFFIX).split("~", 2)[-1], draft):
            shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Flushes the content of a file to disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_tree(path: Path) -> None:
    """Flushes a file, or a folder with all of its content, to disk."""
    for item in path.rglob("*") if path.is_dir() else ():
        sync_folder(item) if item.is_dir() else sync_file(item)
    sync_folder(path) if path.is_dir() else sync_file(path)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it exists; a folder disappears at once, even if a kill interrupts its removal."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    draft = make_draft_path(path)
    path.rename(draft)
    shutil.rmtree(draft)


def sync_folder(path: Path) -> None:
    """Flushes the entries of a folder to disk, on file systems that support it."""
    with contextlib.suppress(OSError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def compute_digest(path: Path) -> str:
    """Computes the SHA-256 of a file as hexadecimal digits; of a folder, that of the digests and names of its files."""
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.is_file())
        listed = "".join(f"{compute_digest(file)} {file.relative_to(path).as_posix()}\n" for file in files)
        return hashlib.sha256(listed.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_digest(path: Path, digest: str) -> None:
    """Compares the SHA-256 of a file or folder with an expected one.

    Raises:
        Damaged: If it differs, or the file cannot be read.
    """
    try:
        found = compute_digest(path)
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from error
    if found != digest:
        raise Damaged(f"{path} is damaged: its sha256 must be {digest[:12]}…, got {found[:12]}…")


def set_aside(path: Path) -> Path:
    """Renames an unusable file or folder to ``NAME.damaged-0``, or the next free number, and returns the new path."""
    number = 0
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(target)
    return target


def _get_first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
