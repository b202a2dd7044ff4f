"""Checks that need Lightning, made before a run folder is created."""

from __future__ import annotations

from zoo.checks import Refused, require
from zoo.config.targets import import_target
from zoo.runs.run_config import RunConfig
from zoo.training.fit import silence_lightning


def require_trainer(config: RunConfig) -> None:
    """Requires that Lightning accepts the section ``trainer``, by making a trainer once.

    Raises:
        Refused: with the error of Lightning about accelerator, devices or strategy; or if there are more devices than
            rows in a batch.
    """
    silence_lightning()
    bare = config.trainer.replace_arguments(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, max_steps=1
    )
    try:
        trainer = import_target(bare)()
    except Exception as error:  # Lightning and plug-ins may raise anything
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise Refused(f"trainer: {config.trainer.path} refuses its arguments: {why}") from error
    devices = getattr(trainer, "world_size", 1)
    require(
        devices <= config.batch,
        f"batch must be at least the number of devices: got batch={config.batch}, devices={devices}",
    )
