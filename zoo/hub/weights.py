"""Converts tensors between checkpoints and models by the rules of a family."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.checks import Refused
from zoo.hub.family import Family
from zoo.hub.name_patterns import Numbers
from zoo.hub.tensor_files import Checkpoint, RenamedCheckpoint
from zoo.hub.tensor_rules import Rule
from zoo.model.plan import ModelPlan
from zoo.model.variants.variant import Variant

_log = logging.getLogger("zoo")
_SHOWN = 5


@dataclass(frozen=True)
class Group:
    """Tensors that one rule converts together, for one set of numbers.

    Attributes:
        rule: the rule.
        theirs: names of the published tensors.
        ours: names of our tensors.
    """

    rule: Rule
    theirs: tuple[str, ...]
    ours: tuple[str, ...]


def collect_tensors(model: Variant) -> dict[str, Tensor]:
    """Returns the tensors of a model to save: parameters, tied ones once, and persistent buffers."""
    held: dict[str, Tensor] = dict(model.named_parameters())
    kept = model.state_dict(keep_vars=True)
    held |= {name: buffer for name, buffer in model.named_buffers() if name in kept}
    return held


def group_tensors(model: Variant, rules: Sequence[Rule], shorten: str = "") -> list[Group]:
    """Groups the tensors of a model by rule, with their published names.

    Args:
        model: the model; each of its tensors must match a rule.
        rules: the rules of a family.
        shorten: prefix to remove from the published names.
    """
    held = collect_tensors(model)
    found: dict[tuple[int, tuple[tuple[str, str], ...]], tuple[Rule, Numbers]] = {}
    missed = []
    for name in held:
        for place, rule in enumerate(rules):
            if (numbers := rule.match(name)) is not None:
                found[place, tuple(sorted(numbers.items()))] = rule, numbers
                break
        else:
            missed.append(name)
    if missed:
        raise Refused(f"the family has no rule for {_format_names(missed)}")
    groups = []
    for rule, numbers in found.values():
        ours = tuple(name for name in rule.list_our_names(numbers) if name in held)
        theirs = rule.list_published_names(numbers, [held[name] for name in ours])
        groups.append(Group(rule, tuple(name.removeprefix(shorten) for name in theirs), ours))
    return groups


# ---------------------------------------------------------------------------------------------------------- reading


def fill_model(
    model: Variant,
    family: Family,
    checkpoint: Checkpoint,
    dtype: torch.dtype | None = None,
    beside: Iterable[str] = (),
) -> None:
    """Fills a model on the meta device with the tensors of a checkpoint, one group after another.

    Shapes are compared before anything is read, so that memory is allocated only for a valid checkpoint.

    Args:
        model: a model on the meta device.
        family: the family of the tensor names.
        checkpoint: the checkpoint to read.
        dtype: dtype of the weights; None keeps that of the checkpoint.
        beside: names of tensors that are kept beside the model.
    Raises:
        Refused: if a tensor is missing, has another shape, or does not belong to the model.
    """
    checkpoint = RenamedCheckpoint(checkpoint, family.older)
    names = checkpoint.headers
    bare = bool(family.prefix) and not any(name.startswith(family.prefix) for name in names)
    plan = group_tensors(model, family.rules, family.prefix if bare else "")
    held, heads = collect_tensors(model), _count_heads(model)
    require_shapes(plan, held, heads, checkpoint)
    repeated = _find_repeated(family, plan, names, bare)
    zero = [name for pattern in family.zero for name in fnmatch.filter(names, pattern)]
    _refuse_leftover(family, [*(name for group in plan for name in group.theirs), *zero, *beside], repeated, names)
    for name in zero:
        if checkpoint.read(name).any():
            raise Refused(f"{name} must be zero, since no component adds it: got other values")
    owners = _find_owners(model)
    for group in plan:
        ours = [held[name] for name in group.ours]
        read = group.rule.to_ours([checkpoint.read(name) for name in group.theirs], ours, heads)
        for name, old, new in zip(group.ours, ours, read, strict=True):
            _assign_tensor(owners[id(old)], name, old, new.to(dtype or new.dtype).contiguous())
    for name, original in repeated.items():
        same = checkpoint.headers[name] == checkpoint.headers[original]
        if not same or not torch.equal(checkpoint.read(name), checkpoint.read(original)):
            raise Refused(f"{name} must be equal to {original}, since config.json ties them: got other values")
    require_filled(model)


def require_shapes(plan: Iterable[Group], held: Mapping[str, Tensor], heads: int, checkpoint: Checkpoint) -> None:
    """Raises :class:`Refused` if a tensor is missing, has another shape, or is not floating-point."""
    wrong = []
    for group in plan:
        expected = group.rule.to_theirs([held[name].to("meta") for name in group.ours], heads)
        for name, tensor in zip(group.theirs, expected, strict=True):
            header = checkpoint.headers.get(name)
            if header is None:
                wrong.append(f"{name} is missing")
            elif header.shape != tuple(tensor.shape):
                wrong.append(f"{name} must be {list(tensor.shape)} according to config.json: got {list(header.shape)}")
            elif not header.dtype.is_floating_point or header.dtype.itemsize == 1:  # fp8 needs scales
                wrong.append(f"{name} must be a floating-point tensor: got {header.dtype}")
    if wrong:
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise Refused("\n".join([*wrong[:_SHOWN], *more]))


def require_filled(model: Variant) -> None:
    """Raises :class:`Refused` if a tensor of the model is still on the meta device."""
    if empty := [name for name, tensor in collect_tensors(model).items() if tensor.is_meta]:
        raise Refused(f"the checkpoint has no values for {_format_names(empty)}")


def _find_repeated(family: Family, plan: Iterable[Group], names: Iterable[str], bare: bool) -> dict[str, str]:
    """Finds the tensors of a checkpoint that duplicate others; returns the name of each original."""
    read = {name for group in plan for name in group.theirs}
    found: dict[str, str] = {}
    for pattern, original in family.repeated.items():
        original = original.removeprefix(family.prefix) if bare else original
        pattern = pattern.removeprefix(family.prefix) if bare else pattern
        if original in read:
            found |= {name: original for name in fnmatch.filter(names, pattern) if name not in read}
    return found


def _refuse_leftover(family: Family, used: Iterable[str], repeated: Iterable[str], names: Iterable[str]) -> None:
    """Refuses tensors that do not belong to the model; those that are left out on purpose are logged."""
    left = sorted(set(names) - set(used) - set(repeated))
    for pattern, why in family.left_out.items():
        if out := fnmatch.filter(left, pattern):
            left = [name for name in left if name not in out]
            if why:
                _log.warning("left out: %s: %s", _format_names(out), why)
    if left:
        raise Refused(f"the checkpoint has tensors that config.json does not describe: {_format_names(left)}")


def _find_owners(model: Variant) -> dict[int, list[tuple[nn.Module, str]]]:
    """Returns the modules and attribute names of each tensor by its id; a tied one has several."""
    found: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None:
                found.setdefault(id(tensor), []).append((module, name))
    return found


def _assign_tensor(places: Iterable[tuple[nn.Module, str]], name: str, old: Tensor, new: Tensor) -> None:
    value = nn.Parameter(new, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else new
    for module, attribute in places:
        setattr(module, attribute, value)


# ---------------------------------------------------------------------------------------------------------- writing


def iterate_published_tensors(model: Variant, family: Family, bare: bool | None = None) -> Iterator[tuple[str, Tensor]]:
    """Iterates over the published tensors of a model by name, one group after another.

    Args:
        model: a model that fits the family.
        family: the family of the tensor names.
        bare: whether to omit the family's prefix from names of the body; None for a model without a head.
    """
    held, heads = collect_tensors(model), _count_heads(model)
    bare = model.head is None if bare is None else bare
    for group in group_tensors(model, family.rules, family.prefix if bare else ""):
        tensors = group.rule.to_theirs([held[name].detach() for name in group.ours], heads)
        yield from zip(group.theirs, tensors, strict=True)


def require_plan(model: Variant) -> ModelPlan:
    """Returns the plan of a model; raises :class:`Refused` if it has none."""
    if model.plan is None:
        raise Refused("a model without a plan cannot be converted: build it with zoo.model.build")
    return model.plan


def _count_heads(model: Variant) -> int:
    return require_plan(model).stacks[-1].base.heads


def _format_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
