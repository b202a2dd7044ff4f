"""The optimizer of a training: which parameters decay, and which have a learning rate of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from zoo.model.initialization import Initialization
from zoo.model.parameter_roles import count_inputs, get_parameter_roles


def build_optimizer(
    module: nn.Module, initialization: Initialization, make: Callable[[list[dict[str, Any]]], Optimizer]
) -> Optimizer:
    """Returns the optimizer of all trainable parameters, in groups of equal rate and decay.

    Matrices and tables decay, vectors do not (:mod:`zoo.model.parameter_roles`). Where the initialization asks for
    another learning rate (μP), matrices of equal rates are a group. Decay per step, the product of rate and
    ``weight_decay``, is the same in all groups that decay.

    Args:
        module: model and objective.
        initialization: of the model.
        make: builds the optimizer from its parameter groups.
    """
    factors = {
        id(module.get_parameter(name)): initialization.compute_rate_factor(inputs)
        for name, inputs in count_inputs(module).items()
    }
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, False): [], (1.0, True): []}
    for name, role in get_parameter_roles(module).items():
        parameter = module.get_parameter(name)
        if parameter.requires_grad:
            groups.setdefault((factors.get(id(parameter), 1.0), role == "vector"), []).append(parameter)
    optimizer = make(
        [
            {"params": members} | ({"weight_decay": 0.0} if is_vector else {})
            for (_, is_vector), members in groups.items()
            if members
        ]
    )
    for group in optimizer.param_groups:
        if (factor := factors.get(id(group["params"][0]), 1.0)) != 1.0:
            group["lr"] *= factor
            group["weight_decay"] = group.get("weight_decay", 0.0) / factor
    return optimizer
