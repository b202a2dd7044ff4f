"""Checks of gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.model.variants.variant import Variant
from zoo.testing.kit import check, fail_unless
from zoo.testing.subject import Subject

LENGTH = 70  # more than a chunk of a recurrence; few tokens, since each adds points without a derivative
DIRECTIONS, STEP = 5, 1e-6


def compute_weighted_sum(model: Variant, subject: Subject, seed: int = 0) -> Tensor:
    """Computes a weighted sum of all logits; the rows are long enough for a router to use every expert."""
    logits = model.logits(model.compute_hidden(subject.make_inputs(min(LENGTH, subject.max_length), seed=seed)))
    weight = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)
    return (logits * weight).sum()


@check("model", "parameters that forward does not use, or uses behind detach() or a comparison")
def check_every_parameter_gets_a_gradient(subject: Subject) -> None:
    """Every trainable parameter of the perturbed model has a nonzero gradient."""
    model = subject.copy()
    compute_weighted_sum(model, subject).backward()  # type: ignore[no-untyped-call]
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    idle = [name for name, p in trained if p.grad is None or not p.grad.any()]
    fail_unless(not idle, "a gradient for every parameter", f"none for {', '.join(idle)}")


@check("model", "detach(), in-place operations, or a custom backward", after=("every_parameter_gets_a_gradient",))
def check_gradients_match_finite_differences(subject: Subject) -> None:
    """The derivative along a random direction of all parameters equals the central difference, in float64."""
    slopes = []
    for seed in range(1, DIRECTIONS + 1):
        slope, quotient, size = _compare_slopes(subject, seed)
        if abs(slope - quotient) <= 1e-4 * max(abs(quotient), 1e-2 * size):
            return  # a point without a derivative may lie within the step for some directions, hardly for all
        slopes.append(f"{slope:.8g} instead of {quotient:.8g}")
    fail_unless(False, "derivatives that equal central differences", " and ".join(slopes))


def _compare_slopes(subject: Subject, seed: int) -> tuple[float, float, float]:
    """Returns the derivative along a direction, the central difference, and the bound |gradient| |direction|."""
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
