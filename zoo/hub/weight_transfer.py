"""Weights from one model into another that differs in some parts: what fits is kept, what can be is converted."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo.components.attention._dot_product import DotProductAttention
from zoo.hub.load_checkpoint import load
from zoo.hub.origin import Origin
from zoo.hub.plan_difference import format_ranges
from zoo.hub.weights import collect_tensors
from zoo.model.variants.variant import Variant

_log = logging.getLogger("zoo")
_NUMBER = re.compile(r"\.(\d+)\.")


class TensorPair(NamedTuple):
    """A tensor of the same name in two models, and the modules that it is in."""

    name: str
    old: Tensor
    new: Tensor
    old_modules: tuple[nn.Module, ...]
    new_modules: tuple[nn.Module, ...]


class Conversion(NamedTuple):
    """What a conversion made of a tensor, and in which words it is told."""

    tensor: Tensor
    how: str


def convert_heads(place: TensorPair) -> Conversion | None:
    """Key and value heads of attention as fewer or as more: the mean of a group, or each repeated.

    The mean is how Ainslie et al. (2023, arXiv:2305.13245) make grouped queries of a model with a key for every head;
    repetition leaves what the model computes as it is.
    """
    old, new, part = _find_attention(place.old_modules), _find_attention(place.new_modules), place.name.split(".")[-2]
    if old is None or new is None or part not in ("key", "value", "key_norm"):
        return None
    if (old.heads, old.head_dim) != (new.heads, new.head_dim) or old.kv_heads == new.kv_heads:
        return None
    heads = place.old.reshape(old.kv_heads, old.head_dim, *place.old.shape[1:])
    if old.kv_heads % new.kv_heads == 0:
        pooled = heads.reshape(new.kv_heads, -1, *heads.shape[1:]).mean(dim=1)
        return Conversion(pooled.flatten(0, 1), f"{old.kv_heads} heads pooled to {new.kv_heads}")
    if new.kv_heads % old.kv_heads == 0:
        repeated = heads.repeat_interleave(new.kv_heads // old.kv_heads, dim=0)
        return Conversion(repeated.flatten(0, 1), f"{old.kv_heads} heads repeated to {new.kv_heads}")
    return None


def resize_table(place: TensorPair) -> Conversion | None:
    """Tables of tokens or positions, and the head, with another number of rows: those that both have are kept."""
    table = isinstance(place.new_modules[-1], nn.Embedding) or place.name in ("head.weight", "head.bias")
    if not table or place.old.shape[1:] != place.new.shape[1:]:
        return None
    rows = min(len(place.old), len(place.new))
    made = torch.cat([place.old[:rows].to(place.new.dtype), place.new[rows:]])
    what = f"{len(place.new) - rows} new" if len(place.new) > rows else f"{len(place.old) - rows} left behind"
    return Conversion(made, f"{rows} rows kept, {what}")


CONVERSIONS = (convert_heads, resize_table)
"""From a tensor of another shape under the same name; the first that knows what to do does it."""


@dataclass(frozen=True)
class TransferResult:
    """What became of every tensor, by the names of our models.

    Attributes:
        kept: as they were.
        converted: made from the old ones, and how.
        new: those that the old model has not, with first weights.
        left: those of the old model that have no place.
    """

    kept: tuple[str, ...]
    converted: Mapping[str, str]
    new: tuple[str, ...]
    left: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same with the layers of a name together: ``stack.layers.0-3.ffn.up.weight``."""
        ways: dict[str, list[str]] = {}
        for name, how in self.converted.items():
            ways.setdefault(how, []).append(name)
        return {
            "kept": join_layers(self.kept),
            "converted": {name: how for how, names in ways.items() for name in join_layers(names)},
            "new": join_layers(self.new),
            "left": join_layers(self.left),
        }

    def __str__(self) -> str:
        told = self.as_json()
        ways = [f"{name} ({how})" for name, how in told["converted"].items()]
        lines = [f"kept {len(self.kept)} of {len(self.kept) + len(self.converted) + len(self.new)} tensors"]
        found = {"converted": ways, "new": told["new"], "left behind": told["left"]}
        return "; ".join([*lines, *(f"{what}: {', '.join(names)}" for what, names in found.items() if names)])


@torch.no_grad()
def transfer(old: Variant, new: Variant) -> TransferResult:
    """Give ``new`` the weights of ``old`` wherever a tensor has the same name and shape, or can be converted.

    A tensor that ``old`` has under two names, because it is tied, is found under both.

    Args:
        old: whose weights are taken.
        new: with first weights, which stay where ``old`` has nothing for them.
    """
    theirs = {name: tensor.detach() for name, tensor in old.named_parameters(remove_duplicate=False)}
    theirs = {**collect_tensors(old), **theirs}
    kept, made, converted = [], [], {}
    for name, tensor in collect_tensors(new).items():
        source = theirs.get(name)
        if source is None:
            made.append(name)
        elif source.shape == tensor.shape:
            tensor.copy_(source)
            kept.append(name)
        elif (found := _convert_tensor(name, source, tensor, old, new)) is not None:
            tensor.copy_(found.tensor)
            converted[name] = found.how
        else:
            made.append(name)
    used = {*kept, *converted}
    return TransferResult(
        tuple(kept), converted, tuple(made), tuple(name for name in collect_tensors(old) if name not in used)
    )


def _convert_tensor(name: str, source: Tensor, tensor: Tensor, old: Variant, new: Variant) -> Conversion | None:
    place = TensorPair(name, source, tensor, _list_modules(old, name), _list_modules(new, name))
    return next((found for conversion in CONVERSIONS if (found := conversion(place)) is not None), None)


def _list_modules(model: Variant, name: str) -> tuple[nn.Module, ...]:
    """The modules that a tensor is in, the outermost first."""
    found: list[nn.Module] = [model]
    for step in name.split(".")[:-1]:
        found.append(getattr(found[-1], step))
    return tuple(found)


def _find_attention(modules: Iterable[nn.Module]) -> DotProductAttention | None:
    return next((module for module in modules if isinstance(module, DotProductAttention)), None)


def join_layers(names: Iterable[str]) -> list[str]:
    """Names that differ in the number of a layer alone, told as one."""
    found: dict[str, list[int]] = {}
    for name in names:
        number = _NUMBER.search(name)
        found.setdefault(_NUMBER.sub(".{}.", name, count=1), []).extend([int(number[1])] if number else [])
    return [name.replace("{}", format_ranges(sorted(numbers))) if numbers else name for name, numbers in found.items()]


# ------------------------------------------------------------------------------------------------- a run's beginning


@dataclass(frozen=True)
class CheckpointStart:
    """Where a run's weights came from.

    Attributes:
        path: of the checkpoint.
        sha256: of its content.
        origin: what the checkpoint said beyond its model.
        weights: what became of each tensor.
    """

    path: str
    sha256: str
    origin: Origin
    weights: TransferResult


def start_from_checkpoint(model: Variant, path: str | Path, sha256: str) -> CheckpointStart:
    """Give a model the weights of a checkpoint, as far as they fit, and tell it.

    Args:
        model: with first weights.
        path: the folder.
        sha256: of its content, as its config was checked.
    """
    source = load(path)
    moved, origin = transfer(source, model), source.origin
    if not isinstance(origin, Origin):
        raise TypeError(f"a checkpoint that was loaded has an origin: got {origin!r}")
    if origin.task is not None:
        moved = replace(moved, left=(*moved.left, *origin.task.shapes))
    model.origin = begun = CheckpointStart(str(path), sha256, origin, moved)
    _log.info("weights of %s: %s", path, moved)
    return begun


def describe_start(model: Variant) -> dict[str, Any]:
    """What ``result.json`` says of where a model's weights came from; nothing if they are its own."""
    begun = model.origin
    if not isinstance(begun, CheckpointStart):
        return {}
    found = {"path": begun.path, "sha256": begun.sha256, "family": begun.origin.family, **begun.weights.as_json()}
    return {"checkpoint": found}
