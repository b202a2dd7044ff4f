"""What the implementation executes, beside what the method needs: against closed forms and torch's plain count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from zoo.model.build import check
from zoo.model.cost import build_on_meta, compute_cost
from zoo.model.executed_flops import create_flop_counter, measure_executed_flops, measure_executed_flops_per_token
from zoo.model.footprint import create_blank_inputs
from zoo.model.variants.variant import Variant
from zoo.testing.subject import SMALL

LENGTH, SOURCE, VOCABULARY = 70, 9, 32


def model_of(variant: str = "decoder", **over: Any) -> Variant:
    _, plan, problems = check({"variant": variant, **SMALL, **over})
    assert plan is not None, problems
    return build_on_meta(plan, VOCABULARY)


def plain_count(model: Variant, counter: FlopCounterMode) -> int:
    """Of one forward and one backward pass with every layer."""
    with counter:
        model.logits(
            model.compute_hidden(create_blank_inputs(LENGTH, SOURCE if len(model.get_stacks()) > 1 else 0))
        ).sum().backward()
    return counter.get_total_flops()


def test_hidden_pairs_of_softmax_are_executed_but_not_needed() -> None:
    model = model_of(layers=3)
    hidden = 4 * 4 * 4 * LENGTH * (LENGTH - 1) // 2  # four heads of four features, scores and averages
    forward, backward = measure_executed_flops(model, LENGTH, 0)
    assert forward == model.flops(LENGTH, 0) + 3 * hidden
    assert backward == 2 * forward


@pytest.mark.parametrize(
    ("variant", "over"),
    [
        ("encoder_decoder", {"layers": 3, "exceptions": {"wide": {"at": [1], "hidden": 40}}}),
        ("decoder", {"attention": {"name": "gated_delta"}, "layers": 3}),
        ("decoder", {"ffn": {"name": "moe"}, "layers": 3, "distinct_layers": 1}),
        ("encoder", {"attention": {"name": "fourier"}, "layers": 3}),
        ("decoder", {"attention": {"name": "lstm"}}),
    ],
    ids=str,
)
def test_layers_that_are_alike_are_counted_once_and_multiplied(variant: str, over: dict[str, Any]) -> None:
    model = model_of(variant, **over)
    assert sum(measure_executed_flops(model, LENGTH, SOURCE)) == plain_count(model, create_flop_counter())


def test_chunks_execute_more_than_they_need_by_hidden_pairs_and_padding() -> None:
    """A row of 70 is filled up to two chunks of 64, and the state is read and written for every token."""
    model = model_of(attention={"name": "retention"}, layers=1)
    needed, (executed, _) = model.flops(LENGTH, 0), measure_executed_flops(model, LENGTH, 0)
    heads, key, value = 4, 4, 8
    pairs = 2 * 64 * 64 - (64 * 65 + 6 * 7) // 2
    states = 2 * 128 - (6 + 64)
    assert executed - needed == 2 * heads * (pairs * (key + value) + states * key * value)


def test_matching_goes_by_one_rule_for_every_mixer() -> None:
    """Linear attention against softmax: what is needed and what is executed are each counted alike for both."""
    softmax, linear = (model_of(attention={"name": name}) for name in ("multi_head", "linear"))
    pairs, chunk = LENGTH * (LENGTH + 1) // 2, (64 * 65 + 6 * 7) // 2
    needed = [4 * 16 * pairs, 4 * (2 * chunk * (4 + 4 + 4 + 1) + 2 * 4 * (4 + 1) * (6 + 64))]
    difference = linear.flops(LENGTH, 0) - softmax.flops(LENGTH, 0)
    assert difference == 2 * (needed[1] - needed[0])
    for model in (softmax, linear):
        executed = measure_executed_flops_per_token(model, LENGTH, 0)
        assert executed is not None
        assert executed > compute_cost(model, LENGTH, 0).flops_per_token


class Stubborn(torch.autograd.Function):
    """A backward pass that needs values."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * gradient.sum().item()


def test_what_cannot_be_counted_is_not_known() -> None:
    model = model_of()
    model.embedding.register_forward_hook(lambda module, given, out: Stubborn.apply(out))
    assert measure_executed_flops_per_token(model, LENGTH + 1, 0) is None
    assert measure_executed_flops_per_token(model_of(), LENGTH + 2, 0) is not None
