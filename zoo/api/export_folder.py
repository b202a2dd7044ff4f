"""Exports checkpoints from Python, as ``zoo export`` does."""

from __future__ import annotations

from pathlib import Path

from zoo.config.preset_family import resolve_family
from zoo.hub.export_model import ExportResult, export_model
from zoo.hub.save_checkpoint import MAX_SHARD_BYTES
from zoo.hub.saved_model import load_saved_model


def export(
    source: str | Path, target: str | Path, *, family: str | None = None, shard: int = MAX_SHARD_BYTES
) -> ExportResult:
    """Writes the model of a finished run, or of a checkpoint, as the checkpoint folder of a published family.

    Args:
        source: folder of the run or of the checkpoint.
        target: the folder to write to, empty or absent.
        family: a ``model_type`` of ``transformers``, a preset, or ``zoo``, which fits any model; None for the family
            that the model came from, else the first that fits.
        shard: maximum number of bytes of a file of weights.
    Raises:
        Refused: if the model does not fit, with the reasons; or if a folder is wrong.
    """
    chosen = None if family is None else resolve_family(family)
    return export_model(load_saved_model(source), target, family=chosen, shard=shard)
