"""Heads for tasks (classification, question answering, …): no part of our models, but kept beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.hub.tensor_files import Checkpoint

Size = int | str
"""A number, or what stands for one: ``dim`` of the model, ``labels`` of the config."""


@dataclass(frozen=True)
class TaskHead:
    """The tensors of a task head and what its body is called.

    Args:
        tensors: shape of each by its name in a checkpoint.
        labels: how many labels the class has where config.json says nothing of them.
        prefix: what names of the body's tensors begin with beside this head; None: as beside the family's other heads.
        only_if: tensors that are there only if an option of config.json is true, by that option's name.
    """

    tensors: Mapping[str, tuple[Size, ...]]
    labels: int = 2
    prefix: str | None = None
    only_if: Mapping[str, str] = field(default_factory=dict)

    def compute_shapes(self, config: Mapping[str, Any], dim: int) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor for a config.json."""
        sizes = {"dim": dim, "labels": count_labels(config, self.labels)}
        return {
            name: tuple(sizes[size] if isinstance(size, str) else size for size in shape)
            for name, shape in self.tensors.items()
            if name not in self.only_if or config.get(self.only_if[name]) is True
        }


@dataclass(frozen=True)
class KeptHead:
    """A task head of a checkpoint, beside the model that was made of its body.

    Attributes:
        architecture: the class that has it.
        shapes: of its tensors by their names in the checkpoint.
        tensors: their values; none where only config.json was read.
    """

    architecture: str
    shapes: Mapping[str, tuple[int, ...]]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(map(math.prod, self.shapes.values()))

    def __str__(self) -> str:
        return f"the task head of {self.architecture} ({', '.join(sorted(self.shapes))})"

    def as_json(self) -> dict[str, Any]:
        """What ``parse_head`` reads; the tensors lie elsewhere."""
        return {"architecture": self.architecture, "shapes": {name: list(shape) for name, shape in self.shapes.items()}}


def parse_head(given: Any) -> KeptHead | None:
    """A head as ``as_json`` says it; None where there is none.

    Raises:
        Refused: if it says anything else.
    """
    if given is None:
        return None
    shapes = given.get("shapes") if isinstance(given, Mapping) else None
    named = isinstance(given, Mapping) and isinstance(given.get("architecture"), str)
    if not named or not isinstance(shapes, Mapping) or not all(map(_is_shape, shapes.values())):
        raise Refused(f"config.json: task_head must have an architecture and shapes: got {str(given)[:80]}")
    return KeptHead(given["architecture"], {name: tuple(shape) for name, shape in shapes.items()})


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)


def read_head(head: KeptHead, checkpoint: Checkpoint, prefix: str, dtype: torch.dtype | None) -> KeptHead:
    """A head with its tensors.

    Args:
        head: what config.json says of it.
        checkpoint: where the tensors are.
        prefix: what their names begin with there.
        dtype: of the tensors; None keeps theirs.
    Raises:
        Refused: if one is missing or has another shape.
    """
    wrong = []
    for name, shape in head.shapes.items():
        header = checkpoint.headers.get(prefix + name)
        if header is None:
            wrong.append(f"{prefix}{name} is missing, which {head.architecture} has")
        elif header.shape != shape:
            wrong.append(f"{prefix}{name} must be {list(shape)} by config.json: got {list(header.shape)}")
    if wrong:
        raise Refused("\n".join(wrong))
    read = {name: checkpoint.read(prefix + name) for name in head.shapes}
    return replace(head, tensors={name: tensor.to(dtype or tensor.dtype) for name, tensor in read.items()})


def count_labels(config: Mapping[str, Any], default: int) -> int:
    """How many labels a config.json has: those that it names, else ``num_labels``."""
    names, number = config.get("id2label"), config.get("num_labels")
    if isinstance(names, Mapping):
        return len(names)
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else default


def describe_linear(name: str, outputs: Size = "labels", inputs: Size = "dim", *, bias: bool = True) -> dict[str, Any]:
    """The tensors of a linear map."""
    return {f"{name}.weight": (outputs, inputs), **({f"{name}.bias": (outputs,)} if bias else {})}


CLASSIFIER = TaskHead(describe_linear("classifier"))
"""One linear map: on a pooled vector (BERT), or on each token."""
CHOICE = TaskHead(describe_linear("classifier", 1))
"""One number for each of several rows, of which one is chosen."""
TWO_STEPS = TaskHead({**describe_linear("classifier.dense", "dim"), **describe_linear("classifier.out_proj")})
"""Two linear maps on the first token (RoBERTa)."""
CLASSIFICATION = TaskHead(
    {**describe_linear("classification_head.dense", "dim"), **describe_linear("classification_head.out_proj")}
)
"""Two linear maps on the last token of a target (BART)."""
ANSWERS = TaskHead(describe_linear("qa_outputs"))
"""Where an answer begins and ends."""
SCORE = TaskHead(describe_linear("score", bias=False))
"""One linear map on the last token of a decoder."""
