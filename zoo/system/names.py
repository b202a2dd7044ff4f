"""Names and paths that a user gives and that files are written to: checked before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zoo.checks import Refused
from zoo.limits import NAME_BYTES, PATH_BYTES, brief

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters and line separators, and surrogates: bytes of the command line that are not UTF-8."""


def name_problems(key: str, name: str) -> Iterator[str]:
    """Yield why a name cannot be that of one folder; a slash or ``..`` would lead out of the folder it belongs in.

    Args:
        key: what the name was given as.
        name: in any script, with any punctuation but slashes.
    """
    if name in ("", ".", ".."):
        yield f"{key}: must be the name of a folder: got {name!r}"
    if "/" in name or "\\" in name:
        yield f"{key}: must not hold a slash or backslash, since it names a folder: got {brief(name)}"
    yield from path_problems(key, name)


def path_problems(key: str, path: str) -> Iterator[str]:
    """Yield why files cannot be written below a path, whatever is there."""
    if _CONTROL.search(path):
        yield f"{key}: must not hold control characters: got {brief(path)}"
    size = max((len(part.encode("utf-8", "replace")) for part in re.split(r"[/\\]", path)), default=0)
    if size > NAME_BYTES:
        yield f"{key}: a name must have at most {NAME_BYTES} bytes: got {size}"
    elif len(path.encode("utf-8", "replace")) > PATH_BYTES:
        yield f"{key}: a path must have at most {PATH_BYTES} bytes: got {len(path.encode('utf-8', 'replace'))}"


def require_path(key: str, path: str) -> None:
    """Refuse a path below which files cannot be written."""
    for problem in path_problems(key, path):
        raise Refused(problem)
