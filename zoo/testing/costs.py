"""Declared costs are measured ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo.attend import capture
from zoo.cost import further_backward, operations
from zoo.interfaces import Inputs
from zoo.testing.caching import has_state
from zoo.testing.kit import check, fail_unless
from zoo.testing.subject import Subject, tokens
from zoo.variants.variant import Variant

FEW = 3  # tokens within every window
MANY = 130  # tokens of several chunks: the first and the last of a recurrence are cheaper backward


def solved(system: Any, right: Any, *given: Any, out_shape: Any = None, **more: Any) -> int:
    """Operations of a triangular system, which torch does not count: size² for each right side."""
    batch, size, sides = torch.Size(system[:-2]).numel(), system[-1], right[-1]
    return int(batch * size * size * sides)


def counter() -> FlopCounterMode:
    """Torch's counter, and what it leaves out."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.linalg_solve_triangular: solved})


@contextmanager
def seeing_all(model: Variant, subject: Subject) -> Iterator[None]:
    """No pair is hidden by causality, where the component can do without: the counter counts hidden pairs too."""
    reader = model.reader
    causal = reader.causal
    if subject.entry.kind not in ("attention", "ffn") or "full" in subject.cls.sees:
        reader.causal = False
    try:
        yield
    finally:
        reader.causal = causal


@check("model", "flops(mask): a multiplication and its addition are two operations; matrix products only")
def declared_operations_are_counted_ones(subject: Subject) -> None:
    """Operations, forward and backward, are within two percent of the component's own of what torch counts."""
    model = subject.copy()
    hides = subject.entry.kind in ("attention", "ffn") and "full" not in subject.cls.sees
    length = MANY if has_state(subject) else 1 if hides else FEW
    source = tokens(FEW, rows=1) if subject.variant == "encoder_decoder" else None
    with seeing_all(model, subject):
        with capture(), counter() as forward:
            out = model.logits(model.hidden(Inputs(tokens(length, rows=1), source=source)))
        with counter() as backward:
            out.square().sum().backward()  # type: ignore[no-untyped-call]
        sizes = (length, FEW if source is not None else 0)
        declared = model.flops(*sizes)
        further = further_backward(model, *sizes).total()
        own = sum(count for part, count in operations(model, *sizes).items() if isinstance(part, subject.cls))
    for which, times, said, seen in (
        ("forward", 1, declared, forward),
        ("backward", 2, 2 * declared + further, backward),
    ):
        counted = seen.get_total_flops()
        close = abs(said - counted) <= 0.02 * times * own
        what = f"{counted} operations {which}, as torch counts them in the model for {length} tokens"
        fail_unless(close, what, f"{said}, of which {times * own} are its own")


@check("model", "active(): parameters that take part in a token's computation")
def active_parameters_are_some_of_all(subject: Subject) -> None:
    """A component that has parameters uses some of them for a token, and no more than it has."""
    for component in subject.model.components():
        own = sum(parameter.numel() for parameter in component.parameters())
        active = component.active()
        fail_unless(0 <= active <= own and (active > 0 or own == 0), f"between 1 and {own}", str(active))
