"""Reads untrusted input files: regular files only, up to a maximum size.

A FIFO or a device in place of ``config.json`` would block or never end.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from zoo import limits
from zoo.checks import Refused

_SURROGATE = re.compile("[\ud800-\udfff]")


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Reads a regular file.

    Args:
        path: Path of the file.
        most: Maximum size in bytes; None for no limit.

    Raises:
        FileNotFoundError: If ``path`` does not exist.
        Refused: If it is not a regular file, cannot be read, or has more than ``most`` bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise Refused(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise Refused(f"{path}: must be a regular file: got {_describe_kind(status.st_mode)}")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read() if most is None else file.read(most + 1)
    if most is not None and len(content) > most:
        raise Refused(f"{path}: must have at most {most} bytes: got {max(status.st_size, len(content))}")
    return content


def read_text(path: Path, most: int | None = None) -> str:
    """Reads a regular file of UTF-8 text.

    Raises:
        FileNotFoundError: If ``path`` does not exist.
        Refused: If it is not valid UTF-8, or for the reasons of :func:`read_bytes`.
    """
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: must be UTF-8: got byte 0x{error.object[error.start]:02x} at {error.start}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file that contains a mapping.

    Raises:
        Refused: If it does not exist, is not JSON, or contains something else.
    """
    found = parse_json(path)
    if not isinstance(found, dict):
        raise Refused(f"{path} must contain a mapping: got {type(found).__name__}")
    return found


def replace_surrogates(value: Any) -> Any:
    r"""Returns a value of JSON or YAML whose texts can be encoded: a lone surrogate becomes U+FFFD.

    JSON and YAML can write half of a character, as ``"\ud800"``. Such a text is no Unicode text; it can neither be
    encoded nor handed to libraries that hold texts in UTF-8.
    """
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {replace_surrogates(key): replace_surrogates(item) for key, item in value.items()}
    return [replace_surrogates(item) for item in value] if isinstance(value, list) else value


def parse_json(path: Path) -> Any:
    """Reads a JSON file that may contain any value.

    Raises:
        Refused: If it does not exist or is not JSON.
    """
    try:
        return replace_surrogates(json.loads(read_bytes(path, limits.JSON_BYTES)))
    except FileNotFoundError:
        raise Refused(f"{path} does not exist") from None
    except Refused:
        raise
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} cannot be read as JSON: {error}") from None


def _describe_kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a FIFO", stat.S_ISSOCK: "a socket"}
    return next((name for is_kind, name in kinds.items() if is_kind(mode)), "a device")
