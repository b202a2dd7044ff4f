"""Roles of parameters, by which weight decay, initialization and μP treat them."""

from __future__ import annotations

from typing import Literal

from torch import nn
from torch.nn.modules.conv import _ConvNd

from zoo.checks import Refused

Role = Literal["matrix", "readout", "table", "vector"]
"""``matrix``: weights of one or several linear maps ``[…, outputs, inputs]``. ``readout``: a matrix whose outputs are
scores, whose number does not depend on the width. ``table``: one row for each token, position, bucket or feature.
``vector``: everything else: gains, biases, gates, decay rates, mixing coefficients."""

_TORCH: tuple[tuple[tuple[type[nn.Module], ...], Role], ...] = (
    ((nn.Linear, nn.Bilinear, nn.RNNBase, nn.MultiheadAttention, _ConvNd), "matrix"),
    ((nn.Embedding, nn.EmbeddingBag), "table"),
)
"""Roles of parameters with two or more dimensions in modules of torch."""


def get_parameter_roles(module: nn.Module) -> dict[str, Role]:
    """Returns the role of every parameter of ``module``, with the names and in the order of ``named_parameters``.

    A class declares roles in its attribute ``roles``, by parameter name; a dotted name refers to a submodule and
    overrides what that declares. Undeclared parameters with fewer than two dimensions are vectors; roles in modules of
    torch are known (the weight of ``Linear`` is a matrix).

    Raises:
        Refused: if a parameter with two or more dimensions has no role.
    """
    declared: dict[str, Role] = {}
    for prefix, part in module.named_modules():  # outer modules come first
        for name, role in getattr(part, "roles", {}).items():
            declared.setdefault(f"{prefix}.{name}" if prefix else name, role)
    return {name: declared.get(name) or _derive_role(module, name) for name, _ in module.named_parameters()}


def count_inputs(module: nn.Module) -> dict[str, int]:
    """Counts the inputs of each output (fan-in) of every ``matrix`` and ``readout`` of ``module``."""
    counts = {}
    for name, role in get_parameter_roles(module).items():
        if role in ("matrix", "readout"):
            owner, weight = module.get_submodule(name.rpartition(".")[0]), module.get_parameter(name)
            counts[name] = weight[0].numel() if isinstance(owner, _ConvNd) else weight.shape[-1]
    return counts


def _derive_role(module: nn.Module, name: str) -> Role:
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    parameter = owner.get_parameter(last)
    if parameter.ndim < 2:
        return "vector"
    for types, role in _TORCH:
        if isinstance(owner, types):
            return role
    shape = ", ".join(map(str, parameter.shape))
    raise Refused(
        f"{name} [{shape}] of {type(owner).__name__} must have a role: declare it in the class by "
        f'roles = {{"{last}": "matrix"}}, or "table", or "vector"'
    )
