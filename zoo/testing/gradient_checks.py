"""Gradients: every parameter has one, and it is right."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.model.variants.variant import Variant
from zoo.testing.kit import check, fail_unless
from zoo.testing.subject import Subject

LENGTH = 70  # more than a chunk; fewer tokens have fewer kinks
DIRECTIONS, STEP = 5, 1e-6


def compute_weighted_sum(model: Variant, subject: Subject, seed: int = 0) -> Tensor:
    """One number that looks at every logit differently; tokens are enough for every expert to be chosen by one."""
    logits = model.logits(model.compute_hidden(subject.make_inputs(min(LENGTH, subject.max_length), seed=seed)))
    weight = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)
    return (logits * weight).sum()


@check("model", "parameters that forward does not use, or uses behind detach() or a comparison")
def check_every_parameter_gets_a_gradient(subject: Subject) -> None:
    """Once parameters are moved away from their first values, each that is trained has a gradient other than zero."""
    model = subject.copy()
    compute_weighted_sum(model, subject).backward()  # type: ignore[no-untyped-call]
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    idle = [name for name, p in trained if p.grad is None or not p.grad.any()]
    fail_unless(not idle, "a gradient for every parameter", f"none for {', '.join(idle)}")


@check("model", "detach(), in-place changes, or a backward of one's own", after=("every_parameter_gets_a_gradient",))
def check_gradients_match_finite_differences(subject: Subject) -> None:
    """Along a random direction of all parameters the derivative is the quotient of differences, in float64."""
    slopes = []
    for seed in range(1, DIRECTIONS + 1):
        slope, quotient, size = _compare_slopes(subject, seed)
        if abs(slope - quotient) <= 1e-4 * max(abs(quotient), 1e-2 * size):
            return  # a kink may lie within the step for some tokens and direction, hardly for all
        slopes.append(f"{slope:.8g} instead of {quotient:.8g}")
    fail_unless(False, "slopes as differences give them", " and ".join(slopes))


def _compare_slopes(subject: Subject, seed: int) -> tuple[float, float, float]:
    """Derivative, quotient of differences, and the largest that the derivative could be, for tokens and a direction."""
    model = subject.copy()
    parameters = [p for p in model.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(seed)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    gradient = torch.autograd.grad(compute_weighted_sum(model, subject, seed), parameters)
    slope = float(sum((g * d).sum() for g, d in zip(gradient, direction, strict=True)))
    values = []
    with torch.no_grad():
        for shift in (STEP, -2 * STEP):
            for p, d in zip(parameters, direction, strict=True):
                p.add_(d, alpha=shift)
            values.append(float(compute_weighted_sum(model, subject, seed)))
    size = sum(float(g.norm() * d.norm()) for g, d in zip(gradient, direction, strict=True))
    return slope, (values[0] - values[1]) / (2 * STEP), size
