"""Checks of the trainer and of the compiler, made before a run folder is created."""

from __future__ import annotations

from zoo.checks import Refused, require
from zoo.config.targets import import_target
from zoo.runs.run_config import RunConfig
from zoo.training.compile_model import require_compiler
from zoo.training.fit import silence_lightning
from zoo.training.sharded_strategy import ShardedStrategy

_FUSED = ("torch.optim.Adam", "torch.optim.AdamW")
"""Optimizers whose fused kernel torch can apply to shards."""


def require_trainer(config: RunConfig) -> None:
    """Requires that Lightning accepts the section ``trainer``, by making a trainer once, and a compiler if it compiles.

    Raises:
        Refused: with the error of Lightning about accelerator, devices or strategy; if there are more devices than
            rows in a batch; or if precision or optimizer cannot be used with shards.
    """
    if config.compile:
        require_compiler()
    silence_lightning()
    bare = config.trainer.replace_arguments(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, max_steps=1
    )
    try:
        trainer = import_target(bare)()
    except Exception as error:  # Lightning and plug-ins may raise anything
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise Refused(f"trainer: {config.trainer.path} refuses its arguments: {why}") from error
    if isinstance(getattr(trainer, "strategy", None), ShardedStrategy):
        _require_shardable(config)
    devices = getattr(trainer, "world_size", 1)
    require(
        devices <= config.batch,
        f"batch must be at least the number of devices: got batch={config.batch}, devices={devices}",
    )


def _require_shardable(config: RunConfig) -> None:
    """Requires a precision and an optimizer that work with shards."""
    shards = f"trainer.strategy={config.trainer.arguments.get('strategy')}"
    require(
        config.precision != "16-mixed",
        f"precision: {shards} needs bf16-mixed, bf16-true or 32-true, since each device would find a loss scale of its "
        f"own: got {config.precision}",
    )
    optimizer = config.optimizer
    require(
        optimizer.path in _FUSED or not optimizer.arguments.get("fused"),
        f"optimizer.fused: {shards} needs false, except with {' and '.join(_FUSED)}: got true with {optimizer.path}",
    )
