"""Transfers weights to a model that differs in some parts, converting tensors where possible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.components.attention._dot_product import DotProductAttention
from zoo.hub.plan_difference import format_ranges
from zoo.hub.weights import collect_tensors
from zoo.model.variants.variant import Variant

_NUMBER = re.compile(r"\.(\d+)\.")


class TensorPair(NamedTuple):
    """Tensors with the same name in two models.

    Attributes:
        name: their name.
        old: the tensor in the old model.
        new: the tensor in the new model.
        old_modules: the modules that contain ``old``, from the model inwards.
        new_modules: the modules that contain ``new``, from the model inwards.
    """

    name: str
    old: Tensor
    new: Tensor
    old_modules: tuple[nn.Module, ...]
    new_modules: tuple[nn.Module, ...]


class Conversion(NamedTuple):
    """A converted tensor, and a description of the conversion for messages."""

    tensor: Tensor
    how: str


def convert_heads(place: TensorPair) -> Conversion | None:
    """Converts key and value heads to fewer heads by averaging groups, or to more heads by repetition.

    Averaging follows Ainslie et al. (2023, arXiv:2305.13245); repetition does not change what the model computes.
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
    """Resizes tables of tokens or positions, and the head; rows that both models have are kept."""
    is_table = isinstance(place.new_modules[-1], nn.Embedding) or place.name in ("head.weight", "head.bias")
    if not is_table or place.old.shape[1:] != place.new.shape[1:]:
        return None
    rows = min(len(place.old), len(place.new))
    table = torch.cat([place.old[:rows].to(place.new.dtype), place.new[rows:]])
    rest = f"{len(place.new) - rows} new" if len(place.new) > rows else f"{len(place.old) - rows} left behind"
    return Conversion(table, f"{rows} rows kept, {rest}")


CONVERSIONS = (convert_heads, resize_table)
"""Conversions of tensors with the same name and different shapes; the first that applies is used."""


@dataclass(frozen=True)
class TransferResult:
    """Result of a transfer, by our names of the tensors.

    Attributes:
        kept: tensors that were copied unchanged.
        converted: tensors that were converted, with a description of the conversion.
        new: tensors that the old model does not have, with their initial weights.
        left: tensors of the old model that the new one does not have.
    """

    kept: tuple[str, ...]
    converted: Mapping[str, str]
    new: tuple[str, ...]
    left: tuple[str, ...]

    def join_layers(self) -> TransferResult:
        """Returns the result with layers joined, as in ``stack.layers.0-3.ffn.up.weight``."""
        ways: dict[str, list[str]] = {}
        for name, how in self.converted.items():
            ways.setdefault(how, []).append(name)
        converted = {name: how for how, names in ways.items() for name in join_layers(names)}
        kept, new, left = (tuple(join_layers(names)) for names in (self.kept, self.new, self.left))
        return TransferResult(kept, converted, new, left)

    def __str__(self) -> str:
        joined = self.join_layers()
        converted = [f"{name} ({how})" for name, how in joined.converted.items()]
        summary = f"kept {len(self.kept)} of {len(self.kept) + len(self.converted) + len(self.new)} tensors"
        groups = {"converted": converted, "new": joined.new, "left behind": joined.left}
        return "; ".join([summary, *(f"{group}: {', '.join(names)}" for group, names in groups.items() if names)])


@torch.no_grad()
def transfer(old: Variant, new: Variant) -> TransferResult:
    """Copies the weights of ``old`` to ``new`` wherever a tensor has the same name and shape, or can be converted.

    Tied tensors of ``old`` are found under all their names.

    Args:
        old: the model to copy from.
        new: an initialized model, whose other weights stay as they are.
    """
    theirs = {name: tensor.detach() for name, tensor in old.named_parameters(remove_duplicate=False)}
    theirs = {**collect_tensors(old), **theirs}
    kept, new_names, converted = [], [], {}
    for name, tensor in collect_tensors(new).items():
        source = theirs.get(name)
        if source is None:
            new_names.append(name)
        elif source.shape == tensor.shape:
            tensor.copy_(source)
            kept.append(name)
        elif (found := _convert_tensor(name, source, tensor, old, new)) is not None:
            tensor.copy_(found.tensor)
            converted[name] = found.how
        else:
            new_names.append(name)
    used = {*kept, *converted}
    return TransferResult(
        tuple(kept), converted, tuple(new_names), tuple(name for name in collect_tensors(old) if name not in used)
    )


def _convert_tensor(name: str, source: Tensor, tensor: Tensor, old: Variant, new: Variant) -> Conversion | None:
    place = TensorPair(name, source, tensor, _list_modules(old, name), _list_modules(new, name))
    return next((found for conversion in CONVERSIONS if (found := conversion(place)) is not None), None)


def _list_modules(model: Variant, name: str) -> tuple[nn.Module, ...]:
    """Lists the modules that contain a tensor, from the model inwards."""
    found: list[nn.Module] = [model]
    for step in name.split(".")[:-1]:
        found.append(getattr(found[-1], step))
    return tuple(found)


def _find_attention(modules: Iterable[nn.Module]) -> DotProductAttention | None:
    return next((module for module in modules if isinstance(module, DotProductAttention)), None)


def join_layers(names: Iterable[str]) -> list[str]:
    """Joins names that differ only in the number of their layer."""
    found: dict[str, list[int]] = {}
    for name in names:
        number = _NUMBER.search(name)
        found.setdefault(_NUMBER.sub(".{}.", name, count=1), []).extend([int(number[1])] if number else [])
    return [name.replace("{}", format_ranges(sorted(numbers))) if numbers else name for name, numbers in found.items()]
