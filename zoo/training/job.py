"""Job: the parts of a training that is about to start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.data.prepare import PreparedData
from zoo.model.objective import Objective
from zoo.model.plan import ModelPlan
from zoo.model.variants.variant import Variant
from zoo.runs.run_config import RunConfig
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_start import RunStart

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger


@dataclass(frozen=True)
class Job:
    """The parts of a training, built before its folder is changed.

    Args:
        config: the config.
        folder: folder of the run.
        prepared: tokenized data.
        plan: plan of the model.
        model: the model.
        objective: the training objective.
        loggers: loggers of the config.
        callbacks: callbacks of the config.
        start: provenance of the run.
        is_quiet: if True, no progress is printed.
    """

    config: RunConfig
    folder: RunFolder
    prepared: PreparedData
    plan: ModelPlan
    model: Variant
    objective: Objective
    loggers: Sequence[Logger]
    callbacks: Sequence[Callback]
    start: RunStart
    is_quiet: bool = False
