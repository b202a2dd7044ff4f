"""What a model costs: parameters by module and operations by length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoo.build import assemble
from zoo.interfaces import Component
from zoo.plan import ModelPlan
from zoo.variants.variant import Variant


@dataclass(frozen=True)
class Cost:
    """Of one model and one length of rows.

    Args:
        parameters: all, tied ones once.
        active_parameters: those that take part in a token's computation.
        flops_per_token: operations of one training step (forward and twice that backward) for each token read.
        length: tokens of a row in the reading stack.
        source: tokens of a row in the encoder of an encoder-decoder, else 0.
    """

    parameters: int
    active_parameters: int
    flops_per_token: int
    length: int
    source: int


def cost(model: Variant, length: int, source: int) -> Cost:
    """The cost of training ``model`` on rows of ``length`` tokens, and ``source`` tokens where there is an encoder."""
    source = source if len(model.stacks()) > 1 else 0
    parameters = sum(parameter.numel() for parameter in model.parameters())
    idle = sum(own - item.active() for item in model.components() if (own := _own(item)) != item.active())
    flops = 3 * model.flops(length, source)
    return Cost(parameters, parameters - idle, round(flops / (length + source)), length, source)


def on_meta(plan: ModelPlan, vocabulary: int) -> Variant:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return assemble(plan, vocabulary)


def tree(model: nn.Module) -> dict[str, Any]:
    """Modules with parameters, by name: class, parameters in it, and its own parts.

    A parameter that two modules share is counted where it comes first.
    """
    return _tree(model, set())


def _tree(module: nn.Module, seen: set[int]) -> dict[str, Any]:
    own = sum(p.numel() for p in module.parameters(recurse=False) if id(p) not in seen)
    seen |= {id(p) for p in module.parameters(recurse=False)}
    parts = {name: _tree(child, seen) for name, child in module.named_children()}
    parts = {name: part for name, part in parts.items() if part["parameters"]}
    total = own + sum(part["parameters"] for part in parts.values())
    return {"class": type(module).__name__, "parameters": total, "modules": parts}


def _own(component: Component) -> int:
    return sum(parameter.numel() for parameter in component.parameters())
