"""The folder of a report: what is written there, and what there belongs to somebody else."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from zoo.checks import Refused
from zoo.system.files import write_file

MANIFEST = "manifest.sha256"
"""Lists the files of a report, each with its SHA-256, as ``sha256sum --check`` reads it."""
_LINE = re.compile(r"([0-9a-f]{64})  ((?:\w[\w.-]*/)?\w[\w.-]*)")
_INPUTS = "# made from "
"""Begins a comment, as ``sha256sum`` understands it: the digest of what the report was made from."""

Manifest = Mapping[str, set[str]]
"""Digests by path relative to the folder; several while a report is being replaced."""


def find_written(folder: Path, inputs: str, *, renumber: bool = False) -> Path | None:
    """Returns the folder whose report was made from these inputs and is still as it was written; None if none is.

    Args:
        folder: as that of :func:`write_files`, which would write the same files there.
        inputs: digest of all that the report is made from.
        renumber: as that of :func:`write_files`.
    """
    for place in _places(folder):
        if not place.is_dir():
            return None
        try:
            known = _read_manifest(place / MANIFEST)
        except Refused:
            known = {}
        whole = bool(known) and all(_is_known(place, name, known) for name in known)
        if whole and _read_inputs(place / MANIFEST) == inputs:
            return place
        if whole or not renumber:
            return None
    return None


def write_files(folder: Path, files: Mapping[str, str], *, inputs: str = "", renumber: bool = False) -> Path:
    """Write a report, remove what is left of the one before it, and return the folder.

    A file is replaced or removed only if the manifest of the folder lists it and its content is still what was written.
    All others belong to somebody else.

    Args:
        folder: created if absent.
        files: texts by path relative to ``folder``.
        inputs: digest of all that they were made from; :func:`find_written` compares it.
        renumber: if files of somebody else are in the way, write to ``folder-2``, ``folder-3``, … instead.

    Raises:
        Refused: if files of somebody else are in the way, unless ``renumber`` is set.
    """
    for place in _places(folder):
        in_the_way = _try_to_write(place, files, inputs)
        if not in_the_way:
            return place
        if not renumber:
            raise Refused(in_the_way)
    raise AssertionError("numbers do not end")


def _places(folder: Path) -> Iterator[Path]:
    yield folder
    yield from (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))


def _try_to_write(folder: Path, files: Mapping[str, str], inputs: str) -> str:
    """Write the files; or say what is in the way, and write nothing."""
    if _is_there(folder) and not folder.is_dir():
        return f"{folder} must be a folder: got a file"
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder):
        known, foreign = _inspect(folder, files)
        if not foreign:
            _replace(folder, files, known, inputs)
            return ""
    return (
        f"{folder} holds files that no report has written, or that were changed since: {', '.join(foreign)}: "
        "move them, or name another folder"
    )


def _inspect(folder: Path, files: Mapping[str, str]) -> tuple[Manifest, list[str]]:
    """The manifest of the folder, and what stands in the way of ``files``."""
    try:
        known = _read_manifest(folder / MANIFEST)
    except Refused:
        return {}, [MANIFEST]
    parents = sorted({parent for name in files for parent in Path(name).parents if parent != Path()})
    foreign = [str(parent) for parent in parents if _is_there(folder / parent) and not _is_own_folder(folder / parent)]
    taken = [name for name in sorted(files) if _is_there(folder / name) and not _is_known(folder, name, known)]
    return known, foreign or taken


def _read_manifest(path: Path) -> Manifest:
    if not _is_there(path):
        return {}
    if path.is_symlink() or not path.is_file():
        raise Refused(f"{path} must be a file")
    found: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(_INPUTS):
            continue
        if not (parts := _LINE.fullmatch(line)):
            raise Refused(f"{path} is not the manifest of a report: got {line!r}")
        found.setdefault(parts[2], set()).add(parts[1])
    return found


def _read_inputs(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.removeprefix(_INPUTS) for line in lines if line.startswith(_INPUTS)), "")


def _replace(folder: Path, files: Mapping[str, str], known: Manifest, inputs: str) -> None:
    """The manifest lists old and new content before the first file changes, so that a kill leaves nothing unlisted."""
    digests = {name: {hashlib.sha256(_encode(text)).hexdigest()} for name, text in files.items()}
    either = {name: known.get(name, set()) | digests.get(name, set()) for name in known.keys() | digests.keys()}
    write_file(folder / MANIFEST, _format_manifest(either))
    for name, text in files.items():
        write_file(folder / name, _encode(text))
    for name in known.keys() - files.keys():
        if _is_known(folder, name, known):
            (folder / name).unlink()
    write_file(folder / MANIFEST, (f"{_INPUTS}{inputs}\n" if inputs else "") + _format_manifest(digests))


def _format_manifest(manifest: Manifest) -> str:
    return "".join(f"{digest}  {name}\n" for name in sorted(manifest) for digest in sorted(manifest[name]))


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _is_own_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_known(folder: Path, name: str, known: Manifest) -> bool:
    """True if a report wrote this file and nobody has changed it since."""
    path = folder / name
    linked = path.is_symlink() or (path.parent != folder and path.parent.is_symlink())
    if name not in known or linked or not path.is_file():
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() in known[name]


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Locks the folder against other processes that write the same report, if the file system supports locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _encode(text: str) -> bytes:
    """Encodes text as UTF-8; lone surrogates are escaped."""
    return text.encode(errors="backslashreplace")
