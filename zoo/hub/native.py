"""Native checkpoint format: a config of registered components, and tensors under our own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from zoo import __version__
from zoo.checks import Refused
from zoo.hub.config_json import ConfigDescription
from zoo.hub.family import Family
from zoo.hub.name_patterns import Numbers
from zoo.hub.task_heads import KeptHead, parse_head
from zoo.hub.tensor_rules import Rule
from zoo.model import build


@final
@dataclass(frozen=True)
class NativeRule(Rule):
    """Rule that leaves the names and values of all tensors unchanged."""

    def match(self, name: str) -> Numbers:
        """Matches any name."""
        return {"name": name}

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensor unchanged."""
        return list(theirs)

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensor unchanged."""
        return list(ours)


TASK_HEAD_PREFIX = "task_head."
"""Prefix of the tensors of a task head, which is kept beside the model."""
NATIVE = Family("zoo", {}, {}, (), (NativeRule("{name}", "{name}"),))
"""The family of the native format, which every model fits."""


def read_native_config(config: Mapping[str, Any]) -> ConfigDescription:
    """Reads a config.json in the native format.

    Raises:
        Refused: with all problems of the model, one a line.
    """
    given = config.get("model")
    _, plan, problems = build.check(given if isinstance(given, Mapping) else {})
    if problems or plan is None:
        raise Refused("\n".join(f"config.json: {line}" for line in problems))
    if plan.vocabulary is None:
        raise Refused("config.json: model.vocabulary must be given: got null")
    kept = {
        key: value for key, value in config.items() if key not in ("model_type", "zoo_version", "model", "task_head")
    }
    return ConfigDescription(NATIVE, plan, kept, task=parse_head(config.get("task_head")))


def write_native_config(
    model: Mapping[str, Any], vocabulary: int, kept: Mapping[str, Any], origin: str, task: KeptHead | None
) -> dict[str, Any]:
    """Returns the config.json of a model in the native format.

    Args:
        model: config of the model.
        vocabulary: number of tokens of the model.
        kept: options that do not affect what the model computes.
        origin: the published family that the model came from, so that it can be saved as that again.
        task: a task head that is kept beside the model.
    """
    head = {} if task is None else {"task_head": task.as_json()}
    family = {} if origin == NATIVE.name else {"family": origin}
    config = {**model, "vocabulary": vocabulary}
    return {**kept, "model_type": NATIVE.name, "zoo_version": __version__, **family, **head, "model": config}
