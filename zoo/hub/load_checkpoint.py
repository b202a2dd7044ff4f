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
"""Keys of a model config that name the checkpoint to start from: its folder, and the digest of its content."""
_log = logging.getLogger("zoo")


def describe(path: str | Path, names: list[str] | None = None) -> ConfigDescription:
    """Reads the config.json of a folder; weights need not exist.

    Args:
        path: the folder, or the file itself.
        names: names of the checkpoint's tensors, if they are known.
    Raises:
        Refused: with all problems, one a line.
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
    """Returns a model config without the keys that name the checkpoint to start from."""
    return {key: value for key, value in config.items() if key not in CHECKPOINT_KEYS}


@functools.cache
def _log_once(file: Path, note: str) -> None:
    """Logs a note once, even if a command reads the config several times."""
    _log.warning("%s: %s", file, note)


def load_network(path: str | Path, *, pickled: bool = False, dtype: torch.dtype | None = None) -> Variant:
    """Loads the model of a checkpoint folder, in evaluation mode.

    Tensors are read one by one, so that the weights are in memory only once.

    Args:
        path: a folder with ``config.json`` and one or several safetensors files, of a published family (see
            ``zoo.hub.get_families``) or in the native format.
        pickled: whether to read ``pytorch_model.bin`` if there is no safetensors file. It is read with
            ``torch.load(weights_only=True)``, so that it cannot run code.
        dtype: dtype of the weights; None keeps the stored one.
    Returns:
        a model to call as ``model(tokens, attention_mask=None)`` (decoder, encoder) or ``model(source, target, …)``
        (encoder-decoder).
    Raises:
        Refused: with the problems of the folder, in one line or a few.
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
        _log.warning("kept beside the model, without being part of it: %s", task)
    fill_model(model, described.family, checkpoint, dtype, [beside + name for name in task.shapes] if task else ())
    kept = dict(described.kept)
    family = kept.pop("family", NATIVE.name) if described.family is NATIVE else described.family.name
    model.origin = Origin(str(family), kept, read_companion_files(folder), task)
    return model.eval()


def build_without_memory(described: ConfigDescription, checkpoint: Checkpoint) -> Variant:
    """Builds the model on the meta device, after checking that the checkpoint is large enough for it."""
    layers, tensors = max(len(stack.layers) for stack in described.plan.stacks), len(checkpoint.headers)
    if layers > tensors * max(1, len(described.plan.stacks[-1].layers) // described.plan.stacks[-1].distinct):
        raise Refused(f"config.json has {layers} layers, but the checkpoint has only {tensors} tensors")
    try:
        return build_on_meta(described.plan, described.plan.vocabulary or 1)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise Refused(f"config.json describes a model that is too large for any memory: {first}") from None
