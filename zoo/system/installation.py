"""Locates the folders installed with the package and computes a digest of all files that decide how commands behave."""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_METADATA = (".dist-info", ".egg-info")


def find_package_folder(name: str) -> Path:
    """Returns the folder ``conf`` or ``experiments``: next to the package in a checkout, inside it when installed."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


@functools.cache
def compute_installation_digest() -> str:
    """Computes a SHA-256 over all files of zoo and its presets, and the names and versions of what is installed.

    Two processes with equal digests compose the same configs and write the same reports; packages of one's own that are
    installed as editable, or not at all, are not included: see :func:`zoo.training.source_packages.trace`.
    """
    digest = hashlib.sha256(repr((platform.python_version(), *_distributions())).encode())
    for root in (_PACKAGE, find_package_folder("conf"), _PACKAGE.parent / "hydra_plugins"):
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(str(path.relative_to(root.parent)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _distributions() -> Iterator[str]:
    """Yields the names of the metadata folders on ``sys.path``, which hold name and version."""
    for place in map(Path, sys.path):
        if place.is_dir():
            yield from sorted(path.name for path in place.iterdir() if path.name.endswith(_METADATA))
