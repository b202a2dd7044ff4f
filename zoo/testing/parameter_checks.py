"""Checks of parameter roles, which decide weight decay and learning rates."""

from __future__ import annotations

from torch import nn

from zoo.checks import Refused
from zoo.model.parameter_roles import get_parameter_roles
from zoo.testing.kit import check, fail_unless
from zoo.testing.objective_checks import build_objective
from zoo.testing.subject import Subject


@check("model", "roles: which parameters are matrices of linear maps, tables, or vectors")
def check_every_parameter_has_a_role(subject: Subject) -> None:
    """Every parameter has a role, known from its torch module or its single dimension, or declared in ``roles``."""
    _fail_unless_known(subject.model)


@check("objective", "roles: which parameters are matrices of linear maps, tables, or vectors")
def check_every_parameter_of_an_objective_has_a_role(subject: Subject) -> None:
    """Every parameter has a role, known from its torch module or its single dimension, or declared in ``roles``."""
    _fail_unless_known(build_objective(subject))


def _fail_unless_known(module: nn.Module) -> None:
    try:
        roles = get_parameter_roles(module)
    except Refused as refusal:
        fail_unless(False, "a role for every parameter", str(refusal))
    flat = [name for name, role in roles.items() if role != "vector" and module.get_parameter(name).ndim < 2]
    fail_unless(not flat, "matrices and tables with two or more dimensions", f"one dimension in {', '.join(flat)}")
