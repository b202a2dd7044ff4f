"""Task heads (classification, question answering, …), which are not part of our models but kept beside them."""

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
"""A number, ``dim`` for the width of the model, or ``labels`` for the number of labels in the config."""


@dataclass(frozen=True)
class TaskHead:
    """Description of a task head.

    Args:
        tensors: shape of each tensor, by its name in a checkpoint.
        labels: default of the number of labels.
        prefix: prefix of the body's tensors in the architecture with this head; None for the family's prefix.
        only_if: for tensors that exist only if an option of config.json is true, the name of the option.
    """

    tensors: Mapping[str, tuple[Size, ...]]
    labels: int = 2
    prefix: str | None = None
    only_if: Mapping[str, str] = field(default_factory=dict)

    def compute_shapes(self, config: Mapping[str, Any], dim: int) -> dict[str, tuple[int, ...]]:
        """Computes the shape of each tensor for a config.json and the width of the model."""
        sizes = {"dim": dim, "labels": count_labels(config, self.labels)}
        return {
            name: tuple(sizes[size] if isinstance(size, str) else size for size in shape)
            for name, shape in self.tensors.items()
            if name not in self.only_if or config.get(self.only_if[name]) is True
        }


@dataclass(frozen=True)
class KeptHead:
    """The task head of a checkpoint, kept beside the model.

    Attributes:
        architecture: name of the class with this head.
        shapes: shapes of its tensors, by their names in the checkpoint.
        tensors: values of its tensors; empty if only config.json was read.
    """

    architecture: str
    shapes: Mapping[str, tuple[int, ...]]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(map(math.prod, self.shapes.values()))

    def __str__(self) -> str:
        return f"the task head of {self.architecture} ({', '.join(sorted(self.shapes))})"

    def as_json(self) -> dict[str, Any]:
        """Returns the description that :func:`parse_head` reads, without the tensors."""
        return {"architecture": self.architecture, "shapes": {name: list(shape) for name, shape in self.shapes.items()}}


def parse_head(given: Any) -> KeptHead | None:
    """Parses the result of :meth:`KeptHead.as_json`; returns None for None.

    Raises:
        Refused: if it has another form.
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
    """Reads the tensors of a task head.

    Args:
        head: the head according to config.json.
        checkpoint: the checkpoint with the tensors.
        prefix: prefix of their names in the checkpoint.
        dtype: dtype of the tensors; None keeps the stored one.
    Raises:
        Refused: if a tensor is missing or has another shape.
    """
    wrong = []
    for name, shape in head.shapes.items():
        header = checkpoint.headers.get(prefix + name)
        if header is None:
            wrong.append(f"{prefix}{name} is missing, which {head.architecture} has")
        elif header.shape != shape:
            wrong.append(f"{prefix}{name} must be {list(shape)} according to config.json: got {list(header.shape)}")
    if wrong:
        raise Refused("\n".join(wrong))
    read = {name: checkpoint.read(prefix + name) for name in head.shapes}
    return replace(head, tensors={name: tensor.to(dtype or tensor.dtype) for name, tensor in read.items()})


def count_labels(config: Mapping[str, Any], default: int) -> int:
    """Counts the labels of a config.json: the entries of ``id2label``, else ``num_labels``."""
    names, number = config.get("id2label"), config.get("num_labels")
    if isinstance(names, Mapping):
        return len(names)
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else default


def describe_linear(name: str, outputs: Size = "labels", inputs: Size = "dim", *, bias: bool = True) -> dict[str, Any]:
    """Returns the names and shapes of the tensors of a linear layer."""
    return {f"{name}.weight": (outputs, inputs), **({f"{name}.bias": (outputs,)} if bias else {})}


CLASSIFIER = TaskHead(describe_linear("classifier"))
"""A linear layer on the pooled vector (BERT), or on each token."""
CHOICE = TaskHead(describe_linear("classifier", 1))
"""A linear layer that gives a score to each of several rows, for multiple choice."""
TWO_STEPS = TaskHead({**describe_linear("classifier.dense", "dim"), **describe_linear("classifier.out_proj")})
"""Two linear layers on the first token (RoBERTa)."""
CLASSIFICATION = TaskHead(
    {**describe_linear("classification_head.dense", "dim"), **describe_linear("classification_head.out_proj")}
)
"""Two linear layers on the last token of the target (BART)."""
ANSWERS = TaskHead(describe_linear("qa_outputs"))
"""Scores for the start and the end of an answer."""
SCORE = TaskHead(describe_linear("score", bias=False))
"""A linear layer on the last token of a decoder."""
