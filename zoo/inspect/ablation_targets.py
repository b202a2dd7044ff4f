"""Names of what can be switched off in a model: heads, sublayers, norms and residual connections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from zoo.checks import Refused, find_typo, require, suggest
from zoo.model.interfaces import Attention, Norm
from zoo.model.projections import OutputLinear
from zoo.model.stack import Layer, Stack
from zoo.model.variants.variant import Variant

SUBLAYERS = ("attention", "cross", "ffn")
GROUPS = ("heads", "sublayers", "norms", "residuals")


@dataclass(frozen=True)
class Target:
    """A part of a model that can be switched off.

    Args:
        name: ``layer.3.attention``, ``layer.3.attention.head.2``, ``layer.3.cross``, ``layer.3.ffn``,
            ``layer.3.norm.0``, ``layer.3.residual``, ``input_norm`` or ``final_norm``; all counts are from 0. In an
            encoder-decoder the name of the stack comes first: ``encoder.layer.3.ffn``.
        kind: head, sublayer, norm or residual.
        stack: name of the stack.
        layer: number of the applied layer; None for the norms at the ends of a stack.
        part: name of the sublayer, ``norm``, ``residual``, or the norm at the end.
        number: number of the head or the norm; None for others.
    """

    name: str
    kind: str
    stack: str
    layer: int | None
    part: str
    number: int | None = None


def list_targets(model: Variant) -> list[Target]:
    """Lists all parts of a model that can be switched off, from the first layer to the last."""
    return [target for name, stack in model.get_stacks().items() for target in _list_in_stack(model, name, stack)]


def find_targets(model: Variant, names: Iterable[str]) -> list[Target]:
    """Finds parts by their names, each once; ``heads``, ``sublayers``, ``norms`` and ``residuals`` name all of a kind.

    Raises:
        Refused: if there is no such part, or none of a kind.
    """
    found: dict[str, Target] = {}
    for name in names:
        if name in GROUPS:
            chosen = [target for target in list_targets(model) if target.kind == name.removesuffix("s")]
            require(bool(chosen), f"{name}: the model has none that could be switched off")
        elif find_typo(name, GROUPS):
            raise Refused(f"there is no {name!r}: {suggest(name, GROUPS)}")
        else:
            chosen = [find_target(model, name)]
        found |= {target.name: target for target in chosen}
    return list(found.values())


def find_target(model: Variant, name: str) -> Target:
    """Finds a part by its name.

    Raises:
        Refused: if there is none; says which word of the name is wrong, and what could stand there.
    """
    targets = {target.name: target for target in list_targets(model)}
    if name in targets:
        return targets[name]
    words, known = name.split("."), [target.split(".") for target in targets]
    for place, word in enumerate(words):
        fitting = [other for other in known if other[:place] == words[:place]]
        choices = {other[place] for other in fitting if len(other) > place}
        if word not in choices:
            before = ".".join(words[:place])
            raise Refused(f"{name}: {_explain(model, before, word, choices)}")
    choices = {other[len(words)] for other in known if other[: len(words)] == words and len(other) > len(words)}
    raise Refused(f"{name}: a part of it must be named: {suggest('', choices)}")


def _explain(model: Variant, before: str, word: str, choices: set[str]) -> str:
    """Explains why ``word`` cannot follow ``before``."""
    inside = f" in {before}" if before else ""
    if choices and all(choice.isdigit() for choice in choices):
        return f"must be a number between 0 and {max(map(int, choices))}{inside}: got {word!r}"
    if word == "head":
        component = next((t for t in list_targets(model) if t.name == before), None)
        if component is not None:
            return f"{_get_class_name(model, component)} has no heads that could be switched off one by one"
    if word == "residual":
        return f"there is no residual connection{inside}, whose residual component is none"
    return f"there is no {word!r}{inside}: {suggest(word, choices)}"


def _get_class_name(model: Variant, target: Target) -> str:
    part: object = model.get_stacks()[target.stack].list_applied_layers()[target.layer or 0]
    return type(getattr(part, target.part)).__name__


def _list_in_stack(model: Variant, name: str, stack: Stack) -> Iterator[Target]:
    prefix = f"{name}." if len(model.get_stacks()) > 1 else ""
    plans = {planned.name: planned for planned in model.plan.stacks} if model.plan is not None else {}
    if stack.input_norm is not None:
        yield Target(f"{prefix}input_norm", "norm", name, None, "input_norm")
    for number, layer in enumerate(stack.list_applied_layers()):
        residual = plans[name].layers[number].residual.name if name in plans else ""
        yield from _list_in_layer(f"{prefix}layer.{number}", name, number, layer, residual != "none")
    if stack.final_norm is not None:
        yield Target(f"{prefix}final_norm", "norm", name, None, "final_norm")


def _list_in_layer(place: str, stack: str, number: int, layer: Layer, skips: bool) -> Iterator[Target]:
    for part in SUBLAYERS:
        component = getattr(layer, part)
        if component is None:
            continue
        yield Target(f"{place}.{part}", "sublayer", stack, number, part)
        heads = component.output_heads if isinstance(component, Attention) and find_output(component) else 0
        for head in range(heads):
            yield Target(f"{place}.{part}.head.{head}", "head", stack, number, part, head)
    for norm in range(len(list_norms(layer))):
        yield Target(f"{place}.norm.{norm}", "norm", stack, number, "norm", norm)
    if skips:
        yield Target(f"{place}.residual", "residual", stack, number, "residual")


def list_norms(layer: Layer) -> list[Norm]:
    """Lists the norms of the residual component of a layer, in the order in which it holds them."""
    return [module for module in layer.residual.modules() if isinstance(module, Norm)]


def find_output(attention: Attention) -> nn.Linear | None:
    """Finds the output projection of an attention with heads; None if there is none, or there are several."""
    found = [module for module in attention.modules() if isinstance(module, OutputLinear)]
    heads = attention.output_heads
    return found[0] if len(found) == 1 and heads and found[0].in_features % heads == 0 else None
