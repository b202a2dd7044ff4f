"""Initial weights of a run from a checkpoint, and their entry in the result."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.hub.load_checkpoint import load_network
from zoo.hub.origin import Origin
from zoo.hub.weight_transfer import TransferResult, transfer
from zoo.model.variants.variant import Variant
from zoo.runs.run_start import InitialWeights

_log = logging.getLogger("zoo")


@dataclass(frozen=True)
class CheckpointStart:
    """Source of the initial weights of a run.

    Attributes:
        path: path of the checkpoint.
        sha256: digest of its content.
        origin: content of the checkpoint beyond the model.
        weights: result of the transfer.
    """

    path: str
    sha256: str
    origin: Origin
    weights: TransferResult


def start_from_checkpoint(model: Variant, path: str | Path, sha256: str) -> CheckpointStart:
    """Copies the weights of a checkpoint to a model, as far as they fit, and logs the result.

    Args:
        model: an initialized model.
        path: folder of the checkpoint.
        sha256: digest of its content when its config was checked.
    """
    source = load_network(path)
    result, origin = transfer(source, model), source.origin
    if not isinstance(origin, Origin):
        raise TypeError(f"a loaded checkpoint must have an origin: got {origin!r}")
    if origin.task is not None:
        result = replace(result, left=(*result.left, *origin.task.shapes))
    model.origin = start = CheckpointStart(str(path), sha256, origin, result)
    _log.info("weights of %s: %s", path, result)
    return start


def describe_initial_weights(model: Variant) -> InitialWeights | None:
    """Describes the checkpoint that a model's weights started from; None without one."""
    start = model.origin
    if not isinstance(start, CheckpointStart):
        return None
    return InitialWeights(start.path, start.sha256, start.origin.family, **vars(start.weights.join_layers()))
