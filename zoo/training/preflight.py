"""Checks that need torch or Lightning, made before a run folder is created."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from zoo.checks import Refused, require
from zoo.config.targets import import_target
from zoo.model.build import assemble
from zoo.model.cost import on_meta
from zoo.model.plan import ModelPlan
from zoo.model.variants.variant import Variant
from zoo.training.fit import silence_lightning

_FLOAT32 = 4  # bytes of an initial weight


def require_trainer(config: Mapping[str, Any]) -> None:
    """Requires that Lightning accepts the section ``trainer``, by making a trainer once.

    Raises:
        Refused: with the error of Lightning about accelerator, devices or strategy; or if there are more devices than
            rows in a batch.
    """
    silence_lightning()
    section, bare = config["trainer"], {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    try:
        trainer = import_target({**section, **bare, "enable_model_summary": False, "max_steps": 1})()
    except Exception as error:  # Lightning and plug-ins may raise anything
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise Refused(f"trainer: {section['_target_']} refuses its arguments: {why}") from error
    devices = getattr(trainer, "world_size", 1)
    require(
        devices <= config["batch"],
        f"batch must be at least the number of devices: got batch={config['batch']}, devices={devices}",
    )


def assemble_in_memory(plan: ModelPlan, vocabulary: int) -> Variant:
    """Assembles a model with its initial weights.

    Raises:
        Refused: with the number of parameters, if they do not fit into the memory of this machine.
    """
    with torch.random.fork_rng():  # counting must not change the initial weights
        count = sum(parameter.numel() for parameter in on_meta(plan, vocabulary).parameters())
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
