"""Checksums of the weights in a checkpoint folder, in the form that ``sha256sum --check`` reads."""

from __future__ import annotations

import re
from pathlib import Path

from zoo import limits
from zoo.hub.tensor_files import INDEX_FILE
from zoo.system.files import compute_digest, require_digest, write_file
from zoo.system.input_files import read_text

CHECKSUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\\]+)")


def write_checksums(folder: Path) -> None:
    """Writes the SHA-256 of the weights and of their index, which :func:`verify_checksums` compares."""
    digests = {name: compute_digest(folder / name) for name in _list_weight_files(folder)}
    write_file(folder / CHECKSUMS_FILE, "".join(f"{digest}  {name}\n" for name, digest in digests.items()))


def verify_checksums(folder: Path) -> None:
    """Compares the weights with the checksums beside them, if there are any.

    Raises:
        Damaged: if a weight file differs from its checksum.
    """
    if not (folder / CHECKSUMS_FILE).is_file():
        return
    present = _list_weight_files(folder)
    for line in read_text(folder / CHECKSUMS_FILE, limits.JSON_BYTES).splitlines():
        if (found := _LINE.fullmatch(line)) and found[2] in present:
            require_digest(folder / found[2], found[1])


def _list_weight_files(folder: Path) -> list[str]:
    return sorted(path.name for path in (*folder.glob("*.safetensors"), *folder.glob(INDEX_FILE)))
