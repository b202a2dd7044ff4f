"""Checks before a run's folder is made that need torch or Lightning to be asked."""

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
from zoo.training.fit import quieten_lightning

_FLOAT32 = 4  # bytes of a weight as it is first made


def require_trainer(config: Mapping[str, Any]) -> None:
    """Make a trainer from the section ``trainer`` once, without anything of a run.

    Raises:
        Refused: with what Lightning says of accelerator, devices, strategy, …; or for more devices than rows.
    """
    quieten_lightning()
    section, bare = config["trainer"], {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    try:
        trainer = import_target({**section, **bare, "enable_model_summary": False, "max_steps": 1})()
    except Exception as error:  # whatever Lightning and the plug-ins that were named raise
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise Refused(f"trainer: {section['_target_']} refuses its arguments: {why}") from error
    devices = getattr(trainer, "world_size", 1)
    require(
        devices <= config["batch"],
        f"batch must be at least the number of devices: got batch={config['batch']}, devices={devices}",
    )


def assemble_in_memory(plan: ModelPlan, vocabulary: int) -> Variant:
    """The model with its first weights, if they fit into the memory of this machine.

    Raises:
        Refused: with the number of parameters, if they do not.
    """
    with torch.random.fork_rng():  # the first weights must not depend on whether they were counted
        count = sum(parameter.numel() for parameter in on_meta(plan, vocabulary).parameters())
    needed, there = _FLOAT32 * count, _memory()
    told = f"model: its {count:,} parameters must fit into memory: need {needed:,} bytes"
    require(there is None or needed <= there, f"{told}: got {there:,}" if there else told)
    try:
        return assemble(plan, vocabulary)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise Refused(told) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise Refused(told) from error


def _memory() -> int | None:
    """Bytes of this machine's memory; None where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
