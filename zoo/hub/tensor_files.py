"""Tensors of a checkpoint folder: names, shapes and dtypes from headers, and values one at a time."""

from __future__ import annotations

import json
import math
import shlex
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.checks import Refused
from zoo.system.input_files import read_json

SINGLE_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "U8": torch.uint8,
}
_SHOWN = 5


@dataclass(frozen=True)
class Header:
    """Shape and dtype of a tensor, known before its values are read."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Checkpoint(Protocol):
    """Tensors by name."""

    headers: Mapping[str, Header]

    def read(self, name: str) -> Tensor:
        """Reads a tensor into newly allocated memory."""


def open_checkpoint(folder: Path, *, pickled: bool = False) -> Checkpoint:
    """Opens the tensors of a folder with one or several files.

    Args:
        folder: a folder with ``model.safetensors``, or with an index and its shards.
        pickled: whether to read ``pytorch_model.bin``, with ``torch.load(weights_only=True)``.
    Raises:
        Refused: if there is no such file, or one is damaged or inconsistent.
    """
    if (folder / SINGLE_FILE).is_file() or (folder / INDEX_FILE).is_file():
        return SafetensorsFiles(_find_files(folder, SINGLE_FILE, INDEX_FILE))
    if not pickled and ((folder / PICKLED).is_file() or (folder / PICKLED_INDEX).is_file()):
        raise Refused(
            f"{folder} has only a pickled checkpoint, which is not read by default: "
            f"zoo import {shlex.quote(str(folder))} NEW_FOLDER --pickled converts its weights to safetensors"
        )
    if pickled:
        return PickledFiles(_find_files(folder, PICKLED, PICKLED_INDEX))
    raise Refused(f"{folder} has no checkpoint: there is neither {SINGLE_FILE} nor {INDEX_FILE}")


def _find_files(folder: Path, one: str, index: str) -> list[Path]:
    """Returns the single file, or the shards that an index lists, which must be in the same folder."""
    if (folder / one).is_file():
        return [folder / one]
    entries = read_json(folder / index).get("weight_map")
    if not isinstance(entries, Mapping) or not entries or not all(isinstance(each, str) for each in entries.values()):
        raise Refused(f"{folder / index}: weight_map must name a file for each tensor: got {str(entries)[:80]}")
    files = sorted(set(entries.values()))
    for name in files:
        if Path(name).name != name:
            raise Refused(f"{folder / index}: a shard must be in the folder of its index: got {name!r}")
        if not (folder / name).is_file():
            raise Refused(f"{folder / index}: shard {name} does not exist")
    return [folder / name for name in files]


class SafetensorsFiles:
    """The tensors of safetensors files; the library checks that offsets are inside the file and do not overlap.

    Values are read rather than memory-mapped, since a mapping would count as memory a second time.
    """

    def __init__(self, files: list[Path]) -> None:
        self._sources: dict[str, tuple[Path, int]] = {}
        headers: dict[str, Header] = {}
        for path in files:
            for name, header, begin in _read_entries(path):
                headers[_require_unique(name, headers, path)] = header
                self._sources[name] = path, begin
        self.headers: Mapping[str, Header] = headers

    def read(self, name: str) -> Tensor:
        """Reads a tensor into newly allocated memory, so that the file may change afterwards."""
        (path, begin), header = self._sources[name], self.headers[name]
        content = torch.empty(math.prod(header.shape) * header.dtype.itemsize, dtype=torch.uint8)
        with path.open("rb") as file:
            file.seek(begin)
            read = file.readinto(content.numpy().data)
        if read != len(content):
            raise Refused(f"{path} ends before tensor {name} does")
        return content.view(header.dtype).view(header.shape)


def _read_entries(path: Path) -> Iterator[tuple[str, Header, int]]:
    """Yields the name, header and first byte of each tensor of a file, after validating the file."""
    try:
        safe_open(path, framework="pt")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entries = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise Refused(f"{path} is not a valid safetensors file: {error}") from None
    for name, entry in entries.items():
        if name != "__metadata__":
            yield name, _build_header(entry["shape"], entry["dtype"]), 8 + length + entry["data_offsets"][0]


class SelectedCheckpoint:
    """A selection of the tensors of a checkpoint, under new names.

    Args:
        checkpoint: the checkpoint to read.
        names: names of the tensors in the checkpoint, by their new names.
    """

    def __init__(self, checkpoint: Checkpoint, names: Mapping[str, str]) -> None:
        self._checkpoint, self._names = checkpoint, names
        self.headers: Mapping[str, Header] = {name: checkpoint.headers[old] for name, old in names.items()}

    def read(self, name: str) -> Tensor:
        """Reads a tensor into newly allocated memory."""
        return self._checkpoint.read(self._names[name])


class RenamedCheckpoint:
    """A checkpoint with renamed tensors.

    Args:
        checkpoint: the checkpoint to read.
        suffixes: suffixes of names in the checkpoint, and their replacements.
        prefixes: prefixes of names in the checkpoint, and their replacements; the first match is used.
    Raises:
        Refused: if a tensor has both the old and the new name.
    """

    def __init__(
        self, checkpoint: Checkpoint, suffixes: Mapping[str, str], prefixes: Mapping[str, str] | None = None
    ) -> None:
        self._checkpoint, self._suffixes, self._prefixes = checkpoint, suffixes, prefixes or {}
        self._sources = {self._rename(name): name for name in checkpoint.headers}
        if len(self._sources) < len(checkpoint.headers):
            twice = sorted(set(checkpoint.headers) - set(self._sources.values()))
            raise Refused(f"the checkpoint has two names for one tensor: {', '.join(twice[:_SHOWN])}")
        self.headers: Mapping[str, Header] = {name: checkpoint.headers[old] for name, old in self._sources.items()}

    def read(self, name: str) -> Tensor:
        """Reads a tensor into newly allocated memory."""
        return self._checkpoint.read(self._sources[name])

    def _rename(self, name: str) -> str:
        old, new = next((each for each in self._prefixes.items() if name.startswith(each[0])), ("", ""))
        name = new + name.removeprefix(old)
        return next((name.removesuffix(old) + new for old, new in self._suffixes.items() if name.endswith(old)), name)


class PickledFiles:
    """The tensors of pickled files, read with ``torch.load(weights_only=True)``, which runs no code."""

    def __init__(self, files: list[Path]) -> None:
        self._tensors: dict[str, Tensor] = {}
        for path in files:
            try:
                # Only the zip format of torch 1.6 and newer can be memory-mapped; older files are read as a whole.
                found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
            except Exception as error:  # a broken file can make the unpickler raise anything
                first = next(iter(str(error).splitlines()), type(error).__name__)
                raise Refused(f"{path} cannot be read with weights_only=True: {first}") from None
            if not isinstance(found, Mapping) or not all(isinstance(each, Tensor) for each in found.values()):
                raise Refused(f"{path} must contain a mapping of tensors: got {type(found).__name__}")
            for name, tensor in found.items():
                self._tensors[_require_unique(str(name), self._tensors, path)] = tensor
        self.headers: Mapping[str, Header] = {
            name: Header(tuple(tensor.shape), tensor.dtype) for name, tensor in self._tensors.items()
        }

    def read(self, name: str) -> Tensor:
        """Reads a tensor into newly allocated memory."""
        return self._tensors[name].clone()


def _require_unique(name: str, known: Mapping[str, Any], path: Path) -> str:
    if name in known:
        raise Refused(f"{path}: tensor {name} is in two files")
    return name


def _build_header(shape: list[int], dtype: str) -> Header:
    """Returns the header of a tensor; dtypes that models do not use (positions, masks) are only approximate."""
    return Header(tuple(shape), _TYPES.get(dtype, torch.int64 if dtype[:1] in "IU" else torch.uint8))
