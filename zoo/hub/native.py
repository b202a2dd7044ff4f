"""The project's own form of a checkpoint: a config of registered names, and tensors as they are called here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from zoo import __version__
from zoo.checks import Refused
from zoo.hub.config_json import ConfigDescription
from zoo.hub.family import Family
from zoo.hub.task_heads import KeptHead, parse_head
from zoo.hub.tensor_rules import Numbers, Rule
from zoo.model import build


@final
@dataclass(frozen=True)
class NativeRule(Rule):
    """Every tensor under its own name."""

    def match(self, name: str) -> Numbers:
        """Any name."""
        return {"name": name}

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """As it is."""
        return list(theirs)

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """As it is."""
        return list(ours)


TASK_HEAD_PREFIX = "task_head."
"""What names of tensors begin with that are kept beside the model."""
NATIVE = Family("zoo", {}, {}, (), (NativeRule("{name}", "{name}"),))
"""The family of every model, for which nothing has to fit."""


def read_native_config(config: Mapping[str, Any]) -> ConfigDescription:
    """What a config.json of ours says.

    Raises:
        Refused: with all that is wrong with the model in it, one a line.
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
    """The config.json of a model's config.

    Args:
        model: the config.
        vocabulary: tokens that the model has room for.
        kept: options that change nothing of what the model computes.
        origin: the published family that it came from, so that it can go back.
        task: a head that is kept beside the model.
    """
    beside = {} if task is None else {"task_head": task.as_json()}
    came = {} if origin == NATIVE.name else {"family": origin}
    whole = {**model, "vocabulary": vocabulary}
    return {**kept, "model_type": NATIVE.name, "zoo_version": __version__, **came, **beside, "model": whole}
