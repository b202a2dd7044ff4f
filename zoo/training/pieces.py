"""Pieces of tensors: the format of checkpoints that every process writes a share of, and any layout reads.

Each process writes one safetensors file with its pieces; the header tells where in the whole tensor each piece lies, so
that any number of processes can read them. The sharded format of torch has its index in a pickle, which can run code
when it is read; these files cannot.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from zoo.checks import require
from zoo.system.files import Damaged

_INDEX = "pieces"  # key of the header


@dataclass(frozen=True)
class Region:
    """A box in a tensor.

    Args:
        offset: first index along each dimension.
        shape: length along each dimension.
        whole: shape of the whole tensor.
    """

    offset: tuple[int, ...]
    shape: tuple[int, ...]
    whole: tuple[int, ...]

    @classmethod
    def cover(cls, shape: Sequence[int]) -> Region:
        """Returns the region that is the whole tensor of a shape."""
        return cls((0,) * len(shape), tuple(shape), tuple(shape))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index of the region in the whole tensor."""
        return tuple(slice(start, start + size) for start, size in zip(self.offset, self.shape, strict=True))

    def intersect(self, other: Region) -> Region | None:
        """Returns the common part with another region of the same tensor; None if there is none."""
        low = tuple(map(max, self.offset, other.offset))
        high = [min(a.stop, b.stop) for a, b in zip(self.slices, other.slices, strict=True)]
        shape = tuple(end - start for start, end in zip(low, high, strict=True))
        return Region(low, shape, self.whole) if min(shape, default=1) > 0 else None

    def shift_to(self, origin: Region) -> Region:
        """Returns this region in the coordinates of the region ``origin`` that contains it."""
        offset = tuple(mine - its for mine, its in zip(self.offset, origin.offset, strict=True))
        return Region(offset, self.shape, origin.shape)


def write_pieces(path: Path, pieces: Mapping[str, tuple[Tensor, Region]]) -> None:
    """Writes a file of pieces by name of their tensor."""
    index = {name: {"offset": region.offset, "whole": region.whole} for name, (_, region) in pieces.items()}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, (tensor, _) in pieces.items()}
    save_file(tensors, path, metadata={_INDEX: json.dumps(index)})


class PieceFolder:
    """The tensors whose pieces lie in the files ``*.safetensors`` of a folder.

    Args:
        folder: the folder.
    Raises:
        Damaged: if a file has no index.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[str, list[tuple[Path, Region]]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            for name, region in _read_index(path):
                self.found.setdefault(name, []).append((path, region))

    def get_shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a whole tensor."""
        return self.found[name][0][1].whole

    def read(self, name: str, wanted: Region | None = None) -> Tensor:
        """Reads a region of a tensor, from whichever pieces it overlaps.

        Args:
            name: name of the tensor.
            wanted: the region; None for the whole tensor.
        Raises:
            Refused: if the tensor has another shape than ``wanted`` says.
            Damaged: if pieces are missing.
        """
        whole = self.get_shape(name)
        wanted = wanted or Region.cover(whole)
        require(
            wanted.whole == whole, f"{name} must have the shape {list(wanted.whole)}: {self.folder} has {list(whole)}"
        )
        parts = [(path, region, common) for path, region in self.found[name] if (common := region.intersect(wanted))]
        if sum(math.prod(common.shape) for _, _, common in parts) != math.prod(wanted.shape):
            raise Damaged(f"{self.folder}: pieces of {name} are missing")
        read = [(common, self._read_part(path, name, common.shift_to(region))) for path, region, common in parts]
        target = torch.empty(wanted.shape, dtype=read[0][1].dtype if read else torch.float32)
        for common, part in read:
            target[common.shift_to(wanted).slices] = part
        return target

    @staticmethod
    def _read_part(path: Path, name: str, part: Region) -> Tensor:
        with safe_open(path, "pt") as file:
            tensor: Tensor = file.get_slice(name)[part.slices] if part.shape else file.get_tensor(name)
        return tensor


def _read_index(path: Path) -> Iterator[tuple[str, Region]]:
    with safe_open(path, "pt") as file:
        header: Mapping[str, str] = file.metadata() or {}
        if _INDEX not in header:
            raise Damaged(f"{path}: must have an index of pieces")
        index: dict[str, Any] = json.loads(header[_INDEX])
        for name, where in index.items():
            yield name, Region(tuple(where["offset"]), tuple(file.get_slice(name).get_shape()), tuple(where["whole"]))
