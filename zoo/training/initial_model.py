"""The model of a config with its initial weights."""

from __future__ import annotations

import os

import torch

from zoo.checks import Refused, require
from zoo.config.checking import CheckedConfig
from zoo.hub.initial_weights import start_from_checkpoint
from zoo.model.build import assemble
from zoo.model.cost import build_on_meta
from zoo.model.plan import ModelPlan
from zoo.model.variants.variant import Variant

_FLOAT32 = 4  # bytes of an initial weight


def build_initial_model(checked: CheckedConfig, vocabulary: int) -> Variant:
    """Builds the model of a config, with weights from torch's generator, or from the checkpoint that it names.

    Args:
        checked: without problems.
        vocabulary: number of tokens of the data.
    Raises:
        Refused: if there is no model, or it does not fit into the memory of this machine.
    """
    if checked.plan is None:
        raise Refused("model: must be given")
    model, checkpoint = _assemble_in_memory(checked.plan, vocabulary), checked.config.model.checkpoint
    if checkpoint is not None:
        start_from_checkpoint(model, checkpoint.path, checkpoint.sha256)
    return model


def _assemble_in_memory(plan: ModelPlan, vocabulary: int) -> Variant:
    """Assembles a model with its initial weights.

    Raises:
        Refused: with the number of parameters, if they do not fit into the memory of this machine.
    """
    with torch.random.fork_rng():  # counting must not change the initial weights
        count = sum(parameter.numel() for parameter in build_on_meta(plan, vocabulary).parameters())
    needed, there = _FLOAT32 * count, _find_total_memory()
    problem = f"model: its {count:,} parameters must fit into memory: need {needed:,} bytes"
    require(there is None or needed <= there, f"{problem}: got {there:,}" if there else problem)
    try:
        return assemble(plan, vocabulary)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise Refused(problem) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise Refused(problem) from error


def _find_total_memory() -> int | None:
    """Finds the bytes of memory of this machine; None if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
