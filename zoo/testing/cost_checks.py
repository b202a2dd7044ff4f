"""Declared costs are measured ones."""

from __future__ import annotations

import torch

from zoo.model.attend import capture
from zoo.model.cost import count_operations
from zoo.model.executed_flops import create_flop_counter
from zoo.model.interfaces import Inputs
from zoo.testing.kit import check, fail_unless
from zoo.testing.matrix_products import NeededProducts
from zoo.testing.subject import Subject, draw_tokens

LENGTH, SOURCE = 70, 9  # more tokens than a chunk of a recurrence has, and a part of the next


@check("model", "flops(mask): a multiplication and its addition are two operations; products that are needed only")
def check_declared_flops_match_needed_flops(subject: Subject) -> None:
    """Operations are within two percent of the component's own of those that are needed, and no more than are executed.

    Scores that only choose have no gradient by which one could tell that they are needed; where something is chosen,
    operations lie between those that are known to be needed and those that are executed.
    """
    model, length = subject.copy(), min(LENGTH, subject.max_length)
    source = draw_tokens(SOURCE, rows=1) if subject.variant == "encoder_decoder" else None
    inputs = Inputs(draw_tokens(length, rows=1), source=source)
    with capture(), NeededProducts() as needed:
        model.logits(model.compute_hidden(inputs)).square().sum().backward()  # type: ignore[no-untyped-call]
    sizes = (length, SOURCE if source is not None else 0)
    declared = model.flops(*sizes)
    own = sum(count for part, count in count_operations(model, *sizes).items() if isinstance(part, subject.cls))
    least, most = needed.flops, needed.flops
    if needed.chooses:
        with capture(), torch.no_grad(), create_flop_counter() as counter:
            model.logits(model.compute_hidden(inputs))
        most = counter.get_total_flops()
    what = f"{least} to {most} operations forward, as counted in the model for {length} tokens"
    fail_unless(least - 0.02 * own <= declared <= most + 0.02 * own, what, f"{declared}, of which {own} are its own")


@check("model", "active(): parameters that take part in a token's computation")
def check_active_parameters_are_bounded(subject: Subject) -> None:
    """A component that has parameters uses some of them for a token, and no more than it has."""
    for component in subject.model.list_components():
        own = sum(parameter.numel() for parameter in component.parameters())
        active = component.count_active_parameters()
        fail_unless(0 <= active <= own and (active > 0 or own == 0), f"between 1 and {own}", str(active))
