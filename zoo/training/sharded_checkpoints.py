"""Checkpoints as folders, to which each process writes its shards, and which any layout resumes from.

A folder holds ``state.pt``, a checkpoint of Lightning without its tensors, and the tensors as files of pieces
(:mod:`zoo.training.pieces`), whose keys are ``model/NAME`` and ``optimizer/INDEX/PARAMETER/NAME``. Parameters of an
optimizer are numbered through its groups, as in ``torch.optim.Optimizer.state_dict``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.distributed.tensor import DTensor

from zoo.checks import require
from zoo.training.pieces import PieceFolder, Region, write_pieces

STATE = "state.pt"
Locate = Callable[[Tensor], Region]
"""Region of a tensor that this process holds."""


class AnyLayout(TorchCheckpointIO):
    """Checkpoints of one process, which also reads the folders that several processes wrote."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes a file; a folder of that name, which a killed process left, is removed."""
        if Path(path).is_dir():
            shutil.rmtree(path)
        super().save_checkpoint(checkpoint, path, storage_options)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads a checkpoint with whole tensors on the CPU."""
        if not Path(path).is_dir():
            found: dict[str, Any] = super().load_checkpoint(path, map_location, weights_only)
            return found
        pieces = PieceFolder(Path(path))
        return _fill_state(Path(path), {key: pieces.read(key) for key in pieces.found})


def read_step(path: Path) -> int:
    """Reads the number of optimizer steps of a checkpoint."""
    file = path / STATE if path.is_dir() else path
    return int(torch.load(file, map_location="cpu", weights_only=True, mmap=True)["global_step"])


def write_checkpoint(
    folder: Path, checkpoint: Mapping[str, Any], rank: int, locate: Locate, barrier: Callable[[], None]
) -> None:
    """Writes the pieces of this process to the folder of a checkpoint, and all else in the first process.

    Args:
        folder: draft folder; what is there is replaced.
        checkpoint: state of a training as Lightning collects it, whose tensors are shards.
        rank: index of the process.
        locate: region of a tensor that this process holds.
        barrier: waits for all processes.
    """
    if rank == 0:
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink(missing_ok=True)
        folder.mkdir(parents=True)
    barrier()
    pieces = {}
    for key, tensor in _list_tensors(checkpoint):
        region = locate(tensor)
        if rank == 0 or isinstance(tensor, DTensor):  # the others are equal in all processes
            pieces[key] = (tensor.to_local() if isinstance(tensor, DTensor) else tensor, region)
    write_pieces(folder / f"shard-{rank:05}.safetensors", pieces)
    if rank == 0:
        torch.save(_drop_tensors(checkpoint), folder / STATE)
    barrier()


def read_checkpoint(
    path: Path, module: Mapping[str, Tensor], parameters: Sequence[Tensor], locate: Locate
) -> dict[str, Any]:
    """Reads the shards of this process from a checkpoint of any layout.

    Args:
        path: a file, or a folder that :func:`write_checkpoint` wrote.
        module: state of the module, whose layout is wanted.
        parameters: parameters of the optimizers, in order.
        locate: region of a tensor that this process holds.
    Raises:
        Refused: if a tensor has another shape.
        Damaged: if pieces are missing.
    """
    whole = None if path.is_dir() else torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    pieces = PieceFolder(path) if whole is None else None
    saved = dict(_list_tensors(whole)) if whole is not None else {}
    found: dict[str, Tensor] = {}
    for key in saved if pieces is None else pieces.found:
        shape = tuple(saved[key].shape) if pieces is None else pieces.get_shape(key)
        like = _find_counterpart(key, shape, module, parameters)
        region = Region.cover(shape) if like is None else locate(like)
        require(region.whole == shape, f"{path}: {key} must have the shape {list(region.whole)}: got {list(shape)}")
        part = saved[key][region.slices].clone() if pieces is None else pieces.read(key, region)
        found[key] = _distribute(part, like) if isinstance(like, DTensor) else part
    return _fill_state(path, found) if whole is None else _insert_tensors(_drop_tensors(whole), found)


def _find_counterpart(
    key: str, shape: tuple[int, ...], module: Mapping[str, Tensor], parameters: Sequence[Tensor]
) -> Tensor | None:
    """Finds the tensor whose layout a saved tensor gets; None for numbers, such as the steps that Adam counts."""
    kind, _, rest = key.partition("/")
    if kind == "model":
        require(rest in module, f"the model must have the parameters of the checkpoint: it has no {rest}")
        return module[rest]
    return parameters[int(rest.split("/")[1])] if shape else None


def _distribute(part: Tensor, like: DTensor) -> Tensor:
    part = part.to(like.device)
    shape, stride = like.shape, like.stride()
    return DTensor.from_local(part, like.device_mesh, like.placements, run_check=False, shape=shape, stride=stride)


def _fill_state(folder: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return _insert_tensors(torch.load(folder / STATE, map_location="cpu", weights_only=True), tensors)


def _list_tensors(checkpoint: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yields key and value of the tensors of the module and of the optimizers."""
    yield from ((f"model/{name}", tensor) for name, tensor in checkpoint["state_dict"].items())
    for index, optimizer in enumerate(checkpoint["optimizer_states"]):
        for number, state in optimizer["state"].items():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    yield f"optimizer/{index}/{number}/{name}", value


def _drop_tensors(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a checkpoint without the tensors that :func:`_list_tensors` yields."""
    optimizers = []
    for optimizer in checkpoint["optimizer_states"]:
        state = {
            number: {name: value for name, value in values.items() if not isinstance(value, Tensor)}
            for number, values in optimizer["state"].items()
        }
        optimizers.append({**optimizer, "state": state})
    return {**checkpoint, "state_dict": {}, "optimizer_states": optimizers}


def _insert_tensors(checkpoint: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    for key, tensor in tensors.items():
        kind, _, rest = key.partition("/")
        if kind == "model":
            checkpoint["state_dict"][rest] = tensor
        else:
            index, number, name = rest.split("/")
            checkpoint["optimizer_states"][int(index)]["state"][int(number)][name] = tensor
    return checkpoint
