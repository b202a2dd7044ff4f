"""Checks of declared costs against measured ones."""

from __future__ import annotations

import torch

from zoo.model.capture import avoid_fused_kernels
from zoo.model.cost import count_operations
from zoo.model.executed_flops import create_flop_counter
from zoo.model.inputs import Inputs
from zoo.testing.kit import check, fail_unless
from zoo.testing.matrix_products import NeededProducts
from zoo.testing.subject import Subject, draw_tokens

LENGTH, SOURCE = 70, 9  # more tokens than a chunk of a recurrence, and not a multiple of it


@check("model", "flops(mask): a multiply-add is two operations; only needed products count")
def check_declared_flops_match_needed_flops(subject: Subject) -> None:
    """Declared operations equal the needed ones to within two percent of the component's own.

    Scores that only select (top-k) have no gradient that shows that they are needed. With such a selection, declared
    operations must lie between the needed operations that have gradients and all executed ones.
    """
    model, length = subject.copy(), min(LENGTH, subject.max_length)
    source = draw_tokens(SOURCE, rows=1) if subject.variant == "encoder_decoder" else None
    inputs = Inputs(draw_tokens(length, rows=1), source=source)
    with avoid_fused_kernels(), NeededProducts() as needed:
        model.logits(model.compute_hidden(inputs)).square().sum().backward()  # type: ignore[no-untyped-call]
    sizes = (length, SOURCE if source is not None else 0)
    declared = model.flops(*sizes)
    own = sum(count for part, count in count_operations(model, *sizes).items() if isinstance(part, subject.cls))
    least, most = needed.flops, needed.flops
    if needed.chooses:
        with avoid_fused_kernels(), torch.no_grad(), create_flop_counter() as counter:
            model.logits(model.compute_hidden(inputs))
        most = counter.get_total_flops()
    what = f"{least} to {most} forward operations, counted in the model for {length} tokens"
    fail_unless(
        least - 0.02 * own <= declared <= most + 0.02 * own,
        what,
        f"{declared}, of which {own} are those of the component",
    )


@check("model", "count_active_parameters: parameters that are used for one token")
def check_active_parameters_are_bounded(subject: Subject) -> None:
    """A component with parameters declares at least one and at most all of them as active."""
    for component in subject.model.list_components():
        own = sum(parameter.numel() for parameter in component.parameters())
        active = component.count_active_parameters()
        fail_unless(0 <= active <= own and (active > 0 or own == 0), f"between 1 and {own}", str(active))
