"""What a model costs: parameters against closed forms and torch's own count, operations against torch's counter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo.build import assemble, build, check
from zoo.config import compose_run
from zoo.cost import cost, on_meta, tree
from zoo.interfaces import Inputs


def test_gpt_tiny_has_the_parameters_of_its_closed_form() -> None:
    """Embedding and positions, and per layer: four projections, two feed-forward matrices, biases, two norms."""
    _, plan, _ = check(compose_run(["model=gpt/tiny"])["model"])
    assert plan is not None
    d, h, layers, positions, vocabulary = 128, 512, 2, 1024, 1000
    layer = 4 * d * d + 4 * d + 2 * d * h + h + d + 2 * 2 * d
    expected = (vocabulary + positions) * d + layers * layer + 2 * d
    assert cost(on_meta(plan, vocabulary), 64, 64).parameters == expected
    assert sum(p.numel() for p in assemble(plan, vocabulary).parameters()) == expected


@pytest.mark.parametrize("variant", ["decoder", "encoder", "encoder_decoder"])
def test_operations_are_thrice_those_of_a_forward_pass(variant: str, tiny: Callable[..., dict[str, Any]]) -> None:
    _, plan, _ = check(tiny(variant))
    assert plan is not None
    model = on_meta(plan, 32)
    length, source = 12, 9
    inputs = Inputs(
        torch.zeros(1, length, dtype=torch.long, device="meta"),
        source=torch.zeros(1, source, dtype=torch.long, device="meta"),
    )
    with FlopCounterMode(display=False) as counter:
        model.logits(model.hidden(inputs))
    found = cost(model, length, source)
    read = length + (source if variant == "encoder_decoder" else 0)
    assert (found.length, found.source) == (length, read - length)
    counted = counter.get_total_flops()
    if variant != "encoder":  # torch counts the masked half of causal scores too
        heads, width = 4, 4
        pairs = length * (length - 1) // 2
        counted -= 2 * 2 * 2 * pairs * heads * width  # two layers, scores and their average
    assert found.flops_per_token == round(3 * counted / read)


def test_the_tree_counts_every_parameter_once(tiny: Callable[..., dict[str, Any]]) -> None:
    for over in ({"head": {"tied": True}}, {"head": {"tied": False}}):
        model = build(tiny(**over), 32)
        counted = tree(model)
        assert counted["parameters"] == sum(p.numel() for p in model.parameters())
        assert counted["parameters"] == sum(part["parameters"] for part in counted["modules"].values())


def test_all_parameters_of_a_model_without_routers_are_active(tiny: Callable[..., dict[str, Any]]) -> None:
    found = cost(build(tiny(), 32), 8, 8)
    assert found.active_parameters == found.parameters
