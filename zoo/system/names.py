"""Checks names and paths of output files before any training starts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zoo.checks import Refused
from zoo.limits import NAME_BYTES, PATH_BYTES, truncate_repr

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators, and surrogates, which are bytes of the command line that are not UTF-8."""


def check_name(key: str, name: str) -> Iterator[str]:
    """Yields the reasons why a name cannot be the name of a folder; a slash or ``..`` would escape the parent folder.

    Args:
        key: Option that the name was given for; begins each problem.
        name: Name in any script, with any punctuation except slashes.
    """
    if name in ("", ".", ".."):
        yield f"{key}: must be the name of a folder: got {name!r}"
    if "/" in name or "\\" in name:
        yield f"{key}: must not contain a slash or backslash, since it names a folder: got {truncate_repr(name)}"
    yield from check_path(key, name)


def check_path(key: str, path: str) -> Iterator[str]:
    """Yields the reasons why files can never be written to a path, regardless of what exists there."""
    if _CONTROL.search(path):
        yield f"{key}: must not contain control characters: got {truncate_repr(path)}"
    size = max((len(part.encode("utf-8", "replace")) for part in re.split(r"[/\\]", path)), default=0)
    if size > NAME_BYTES:
        yield f"{key}: a name must have at most {NAME_BYTES} bytes: got {size}"
    elif len(path.encode("utf-8", "replace")) > PATH_BYTES:
        yield f"{key}: a path must have at most {PATH_BYTES} bytes: got {len(path.encode('utf-8', 'replace'))}"


def require_path(key: str, path: str) -> None:
    """Raises :class:`zoo.checks.Refused` for a path that files can never be written to."""
    for problem in check_path(key, path):
        raise Refused(problem)
