"""Layers that cannot apply the position that was chosen for others have none; what was named together is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.model.build import build, check
from zoo.model.inputs import Inputs

Tiny = Callable[..., dict[str, Any]]
TOKENS = torch.tensor([[7, 9, 12, 7, 30], [8, 8, 6, 31, 7]])
NOTHING = "would change nothing"


def positions(config: dict[str, Any]) -> list[list[str]]:
    """The names of the layers' positions, stack by stack."""
    _, plan, problems = check(config)
    assert problems == []
    assert plan is not None
    build(config, 32)
    return [[layer.position.name for layer in stack.layers] for stack in plan.stacks]


@pytest.mark.parametrize("attention", ["none", "gated_delta"])
@pytest.mark.parametrize("position", ["rotary", "alibi"])
def test_a_layer_that_cannot_apply_the_model_s_position_has_none(attention: str, position: str, tiny: Tiny) -> None:
    config = tiny(
        layers=3, position={"name": position}, exceptions={"x": {"at": [1], "attention": {"name": attention}}}
    )
    assert positions(config) == [[position, "none", position]]


def test_it_computes_what_it_computes_with_position_none(tiny: Tiny, lively: Callable[..., None]) -> None:
    outs = []
    for further in ({}, {"position": {"name": "none"}}):
        exceptions = {"x": {"at": [0], "attention": {"name": "gated_delta"}, **further}}
        model = build(tiny(position={"name": "rotary"}, exceptions=exceptions), 32, seed=0)
        lively(model)
        outs.append(model.compute_hidden(Inputs(TOKENS)))
    assert torch.equal(*outs)


def test_a_stack_that_cannot_apply_it_has_none(tiny: Tiny) -> None:
    config = tiny("encoder_decoder", position={"name": "rotary"}, decoder={"attention": {"name": "gated_delta"}})
    config["cross"] = {"name": "multi_head"}
    assert positions(config) == [["rotary", "rotary"], ["none", "none"]]


def test_a_position_on_embeddings_reaches_all_layers(tiny: Tiny) -> None:
    config = tiny(position={"name": "learned"}, exceptions={"x": {"at": [1], "attention": {"name": "none"}}})
    assert positions(config) == [["learned", "learned"]]


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"attention": {"name": "gated_delta"}}, "model.position"),
        ({"exceptions": {"x": {"first": 2, "attention": {"name": "none"}}}}, "model.position"),
        (
            {"exceptions": {"x": {"at": [1], "attention": {"name": "none"}, "position": {"base": 9.0}}}},
            "model.exceptions.x.position",
        ),
        (
            {
                "exceptions": {
                    "x": {"at": [0], "attention": {"name": "none"}},
                    "y": {"at": [0], "position": {"base": 9}},
                }
            },
            "model.exceptions.y.position",
        ),
    ],
    ids=["named together", "in no layer", "named together in an exception", "named for that layer"],
)
def test_a_position_that_was_meant_for_no_one_else_is_refused(over: dict[str, Any], path: str, tiny: Tiny) -> None:
    problems = check(tiny(position={"name": "rotary"}, **over))[2]
    assert problems
    for line in problems:
        assert line.startswith(f"{path}: rotary {NOTHING}")
