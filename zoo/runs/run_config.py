"""The config of a run, typed: what a run is trained and named by."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from zoo.runs.config_sections import ComponentConfig, DataConfig, ModelConfig, Target
from zoo.runs.state_files import read_config
from zoo.system.files import Damaged

NOT_THE_RUN = ("runs", "cache", "logger", "checkpoint", "checkpoint_seconds", "label")
"""Keys that do not change the run, so that its hash leaves them out: folders, logging and checkpoint intervals."""


@dataclass(frozen=True)
class RunConfig:
    """A complete config without problems; fields are the keys of ``config.yaml``, in its order.

    Attributes:
        seed: of initial weights, data order and dropout.
        steps: optimizer steps.
        batch: rows of a micro-batch.
        accumulate: micro-batches of a step.
        clip: largest norm of the gradient; None for no limit.
        evaluate: steps between evaluations.
        checkpoint: steps between checkpoints.
        checkpoint_seconds: seconds between checkpoints; None if only steps count.
        precision: precision of Lightning's trainer.
        threads: CPU threads; None for the default of torch.
        compile: whether training calls the layers compiled by ``torch.compile``.
        examples: predictions that the result keeps.
        label: name of the run in progress lines.
        runs: folder of all runs.
        cache: folder of tokenized data.
        model: the model.
        data: data source and tokenizer.
        objective: the training objective.
        optimizer: class of the optimizer.
        schedule: function that makes the learning-rate schedule.
        trainer: class of the trainer.
        logger: loggers by name.
        callbacks: callbacks by name.
    """

    seed: int
    steps: int
    batch: int
    accumulate: int
    clip: float | None
    evaluate: int
    checkpoint: int
    checkpoint_seconds: float | None
    precision: str
    threads: int | None
    compile: bool
    examples: int
    label: str
    runs: str
    cache: str
    model: ModelConfig
    data: DataConfig
    objective: ComponentConfig
    optimizer: Target
    schedule: Target
    trainer: Target
    logger: Mapping[str, Target]
    callbacks: Mapping[str, Target]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Returns the config of a complete mapping, as in ``config.yaml``."""
        values = {"compile": False, **values}  # which configs lack that are older than this option
        sections: dict[str, Any] = {
            "model": ModelConfig.from_mapping(values["model"]),
            "data": DataConfig.from_mapping(values["data"]),
            "objective": ComponentConfig.from_mapping(values["objective"]),
            **{name: Target.from_mapping(values[name]) for name in ("optimizer", "schedule", "trainer")},
            **{name: {key: Target.from_mapping(item) for key, item in values[name].items()} for name in _NAMED},
        }
        return cls(**{each.name: values[each.name] for each in dataclasses.fields(cls)} | sections)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a ``config.yaml``, which lacks the label.

        Raises:
            Damaged: if it is not a config of this version; names the file.
        """
        values = {"label": "", **read_config(path)}
        try:
            return cls.from_mapping(values)
        except KeyError as error:
            raise Damaged(f"{path} must be a complete config of this version: the key {error} is missing") from None
        except (TypeError, AttributeError, ValueError) as error:
            raise Damaged(f"{path} must be a complete config of this version: {error}") from None

    def as_mapping(self) -> dict[str, Any]:
        """Returns the mapping that ``config.yaml``, hashes and reports are made from."""
        return {each.name: _to_plain(getattr(self, each.name)) for each in dataclasses.fields(self)}

    @functools.cached_property
    def hash(self) -> str:
        """Hash of the config, which names the run folder; equal configs share one run."""
        values = {key: value for key, value in self.as_mapping().items() if key not in NOT_THE_RUN}
        if not self.compile:  # runs keep the names that they had before there was this option
            del values["compile"]
        return hashlib.sha256(json.dumps(_normalize_numbers(values), sort_keys=True).encode()).hexdigest()[:16]


_NAMED = ("logger", "callbacks")


def _to_plain(value: Any) -> Any:
    if isinstance(value, ComponentConfig | Target | ModelConfig | DataConfig):
        return value.as_mapping()
    return {key: item.as_mapping() for key, item in value.items()} if isinstance(value, Mapping) else value


def _normalize_numbers(value: Any) -> Any:
    """Converts whole floats to integers: arguments of optimizer and schedule have no declared type."""
    if isinstance(value, Mapping):
        return {key: _normalize_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normalize_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
