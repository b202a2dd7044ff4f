"""Checks of traces: what a model does inside can be looked at, and adds up to what it returns."""

from __future__ import annotations

import torch

from zoo.inspect.trace import StackTrace, trace_model
from zoo.model.capture import AttentionRecord
from zoo.model.stack import Stack
from zoo.testing.kit import check, fail_unless, fail_unless_close
from zoo.testing.subject import Subject


@check(
    "model",
    "forward: a sublayer is called once, and a residual component is a function of what its sublayers return",
    after=("evaluation_is_deterministic",),
)
@torch.no_grad()
def check_traced_parts_sum_to_output(subject: Subject) -> None:
    """The embeddings and the change of every sublayer sum to the output; a trace leaves the model as it was."""
    inputs, model = subject.make_inputs(), subject.model
    untraced = model.compute_hidden(inputs)
    traced = trace_model(model, inputs)
    for name, stack in model.get_stacks().items():
        fail_unless_close(_sum_parts(stack, traced.stacks[name]), traced.stacks[name].hidden, f"output of {name}", 1e-8)
    fail_unless_close(traced.stacks[list(traced.stacks)[-1]].hidden, untraced, "output as without a trace", 1e-8)
    fail_unless(torch.equal(model.compute_hidden(inputs), untraced), "the same output after a trace", "another")


def _sum_parts(stack: Stack, traced: StackTrace) -> torch.Tensor:
    """Sums embeddings and changes, and applies the final norm ``[batch, length, dim]``."""
    total = traced.layers[0].before
    for layer in traced.layers:
        total = total + layer.wiring + sum(sublayer.change for sublayer in layer.sublayers)
    return total if stack.final_norm is None else stack.final_norm(total)


@check("model", "record_attention: weights that are taken from a softmax")
def check_recorded_weights_are_shares(subject: Subject) -> None:
    """Recorded weights of a softmax are not negative, sum to at most 1, and are 0 for hidden keys."""
    for stack in trace_model(subject.model, subject.make_inputs()).stacks.values():
        for layer in stack.layers:
            for record in (record for sublayer in layer.sublayers for record in sublayer.attention):
                _check_record(record)


def _check_record(record: AttentionRecord) -> None:
    fail_unless(bool(record.weights.isfinite().all()), "finite weights", "others")
    if record.scores is None or record.visible is None:
        return
    fail_unless(bool((record.weights >= 0).all()), "weights of at least 0", f"{float(record.weights.min())}")
    most = float(record.weights.sum(dim=-1).max())
    fail_unless(most <= 1 + 1e-9, "weights of a query that sum to at most 1", f"{most}")
    hidden = record.weights.masked_select(~record.visible.expand_as(record.weights))
    fail_unless(not hidden.any(), "weight 0 of every hidden key", f"{float(hidden.max()) if len(hidden) else 0}")
