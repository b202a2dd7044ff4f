"""Loads models from checkpoint folders."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo.checks import Refused
from zoo.hub.checksums import verify_checksums
from zoo.hub.companion_files import read_companion_files
from zoo.hub.config_json import ConfigDescription, read_published_config
from zoo.hub.native import NATIVE, TASK_HEAD_PREFIX, read_native_config
from zoo.hub.origin import Origin
from zoo.hub.task_heads import read_head
from zoo.hub.tensor_files import (
    Checkpoint,
    RenamedCheckpoint,
    SelectedCheckpoint,
    open_checkpoint,
)
from zoo.hub.text_config import map_inner_names
from zoo.hub.weights import fill_model
from zoo.model.cost import build_on_meta
from zoo.model.variants.variant import Variant
from zoo.system.input_files import read_json

CHECKPOINT_KEYS = ("path", "sha256")
"""Keys of a model's config that name the checkpoint it starts from: the folder, and the digest of its contents."""
_log = logging.getLogger("zoo")


def describe(path: str | Path, names: list[str] | None = None) -> ConfigDescription:
    """What the config.json of a folder says; weights need not be there.

    Args:
        path: the folder, or the file itself.
        names: of the tensors beside it, where they are known.
    Raises:
        Refused: with all that is wrong, one a line.
    """
    folder = Path(path)
    file = folder / "config.json" if folder.is_dir() else folder
    config = read_json(file)
    if config.get("model_type") == NATIVE.name:
        return read_native_config(config)
    described = read_published_config(config, names)
    for note in described.list_notes():
        _log_once(file, note)
    return described


def remove_checkpoint_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config of a model without the keys that name the checkpoint it starts from."""
    return {key: value for key, value in config.items() if key not in CHECKPOINT_KEYS}


@functools.cache
def _log_once(file: Path, note: str) -> None:
    """Say it once, although a command may read a config several times."""
    _log.warning("%s: %s", file, note)


def load(path: str | Path, *, pickled: bool = False, dtype: torch.dtype | None = None) -> Variant:
    """The model of a checkpoint folder, in evaluation mode.

    Tensors are read one after another, so that memory is taken once.

    Args:
        path: a folder with ``config.json`` and ``model.safetensors``, one or several, of a family that
            ``zoo.hub.get_families`` knows or of the project's own form.
        pickled: whether ``pytorch_model.bin`` may be read where there is no safetensors file; torch's loader of
            weights only reads it, so that it cannot run code.
        dtype: of the weights; None keeps theirs.
    Returns:
        ``model(tokens, attention_mask=None)`` of a decoder or an encoder, ``model(source, target, …)`` of an
        encoder-decoder.
    Raises:
        Refused: with what is wrong with the folder, in one line or a few.
    """
    folder = Path(path)
    checkpoint = open_checkpoint(folder, pickled=pickled)
    verify_checksums(folder)
    described = describe(folder, list(checkpoint.headers))
    if described.wrapper_type is not None:
        checkpoint = SelectedCheckpoint(checkpoint, map_inner_names(checkpoint.headers, described.family.prefix))
    if described.quantization is not None:
        checkpoint = described.quantization.open(checkpoint)
    checkpoint = RenamedCheckpoint(checkpoint, {}, described.prefixes)
    model = build_without_memory(described, checkpoint)
    task, beside = described.task, TASK_HEAD_PREFIX if described.family is NATIVE else ""
    if task is not None:
        task = read_head(task, checkpoint, beside, dtype)
        _log.warning("kept beside the model, no part of which it is: %s", task)
    fill_model(model, described.family, checkpoint, dtype, [beside + name for name in task.shapes] if task else ())
    kept = dict(described.kept)
    came = kept.pop("family", NATIVE.name) if described.family is NATIVE else described.family.name
    model.origin = Origin(str(came), kept, read_companion_files(folder), task)
    return model.eval()


def build_without_memory(described: ConfigDescription, checkpoint: Checkpoint) -> Variant:
    """The model without memory, if its size is no other than that of the checkpoint."""
    layers, tensors = max(len(stack.layers) for stack in described.plan.stacks), len(checkpoint.headers)
    if layers > tensors * max(1, len(described.plan.stacks[-1].layers) // described.plan.stacks[-1].distinct):
        raise Refused(f"config.json has {layers} layers: the checkpoint has {tensors} tensors, fewer than that")
    try:
        return build_on_meta(described.plan, described.plan.vocabulary or 1)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise Refused(f"config.json describes a model that no memory could hold: {first}") from None
