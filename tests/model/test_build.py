"""From a config to a model: wiring, first weights, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.checks import Refused
from zoo.model.build import build, check
from zoo.model.inputs import Inputs
from zoo.model.mask import Tokens
from zoo.model.stack import Layer, Stack
from zoo.model.variants.variant import Variant

Tiny = Callable[..., dict[str, Any]]
TOKENS = torch.tensor([[7, 9, 12, 7, 30], [8, 8, 6, 31, 7]])


def layers(stack: Stack) -> list[Layer]:
    return [layer for layer in stack.layers if isinstance(layer, Layer)]


def lines(config: dict[str, Any]) -> list[str]:
    with pytest.raises(Refused) as refusal:
        build(config, 32)
    return str(refusal.value).splitlines()


def test_what_parts_say_comes_with_their_paths_all_at_once(tiny: Tiny) -> None:
    found = lines(
        tiny(
            attention={"name": "grouped_query", "kv_heads": 3},
            norm={"name": "rms", "eps": -1},
            position={"name": "rotary", "base": 0},
            ffn={"name": "mlp"},
            exceptions={"x": {"at": [1], "attention": {"name": "multi_head", "scores": {"window": 0}}}},
        )
    )
    assert sorted(found) == [
        "model.attention.kv_heads: kv_heads must divide heads: got kv_heads=3, heads=4",
        "model.exceptions.x.attention.scores.window: scores.window must be positive: got scores.window=0",
        "model.norm.eps: eps must be positive: got eps=-1.0",
        "model.position.base: base must be above 1: got base=0.0",
    ]


def test_a_consequence_of_a_wrong_value_is_not_a_problem_of_its_own(tiny: Tiny) -> None:
    """The default of heads, 4, stands in for it and does not divide 6."""
    assert lines(tiny(heads="many", dim=6)) == ["model.heads: must be an int: got 'many'"]


def test_a_layer_needs_something(tiny: Tiny) -> None:
    assert lines(tiny(attention={"name": "none"}, ffn={"name": "none"})) == [
        "model.ffn: a layer needs attention or ffn: both are none"
    ]


def test_an_encoder_decoder_needs_attention_to_its_source(tiny: Tiny) -> None:
    """Else the encoder would change nothing."""
    for over in ({"attention": {"name": "none"}}, {"cross": {"name": "none"}}):
        (line,) = lines(tiny("encoder_decoder", **over))
        assert line.endswith("none cannot be cross-attention: it does not support cross masks")


def test_absent_sublayers_leave_no_norm(tiny: Tiny) -> None:
    model = build(tiny("encoder_decoder", ffn={"name": "none"}), 32)
    assert [len(layer.residual.norms) for layer in layers(model.get_stacks()["encoder"])] == [1, 1]  # type: ignore[arg-type]
    assert [len(layer.residual.norms) for layer in layers(model.get_stacks()["decoder"])] == [2, 2]  # type: ignore[arg-type]


def test_equal_positions_are_one_and_distinct_ones_are_not(tiny: Tiny) -> None:
    rotary = {"name": "rotary", "base": 100}
    far = {"at": [1, 3], "position": {"base": 9}}
    stack = build(tiny(layers=4, position=rotary, exceptions={"far": far}), 32).reader
    assert [layer.place for layer in layers(stack)] == [0, 1, 0, 1]
    assert [position.base for position in stack.positions] == [100.0, 9.0]


def test_each_layer_uses_its_position(tiny: Tiny, lively: Callable[..., None]) -> None:
    outs = []
    for base in (100, 9):
        exceptions = {"far": {"at": [1], "position": {"base": base}}}
        model = build(tiny(position={"name": "rotary", "base": 100}, exceptions=exceptions), 32, seed=0)
        lively(model)
        outs.append(model.compute_hidden(Inputs(TOKENS)))
    assert not torch.allclose(*outs)


def test_learned_positions_are_added_once(tiny: Tiny) -> None:
    model = build(tiny(layers=3, position={"name": "learned", "length": 8}), 32)
    assert [name for name, _ in model.named_parameters() if "positions" in name] == ["stack.positions.0.table.weight"]
    assert model.limit == 8
    assert build(tiny(), 32).limit is None


def test_seeds_decide_weights_and_leave_the_generator_alone(tiny: Tiny) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, two, three = (build(tiny(), 32, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.embedding.table.weight, three.embedding.table.weight)


@pytest.mark.parametrize(("residual", "ends"), [("pre", True), ("post", False)])
def test_norms_at_the_ends_are_those_that_are_asked_for(residual: str, ends: bool, tiny: Tiny) -> None:
    stack = build(tiny(residual={"name": residual}, input_norm=True), 32).reader
    assert (stack.final_norm is not None) == ends
    assert stack.input_norm is not None
    assert build(tiny(), 32).reader.input_norm is None


def test_pre_norm_is_the_formula(tiny: Tiny, lively: Callable[..., None]) -> None:
    """The stack by hand: embed, x + f(norm(x)) for each sublayer, final norm."""
    model: Variant = build(tiny(ffn={"name": "mlp"}, attention={"name": "none"}), 32)
    lively(model)
    stack = model.reader
    x = stack.positions[0].embed(model.embedding(TOKENS), torch.arange(5)[None])  # type: ignore[operator]
    for layer in layers(stack):
        (norm,) = layer.residual.norms  # type: ignore[misc, union-attr]
        assert layer.ffn is not None
        x = x + layer.ffn(norm(x), Tokens.from_length(5))
    assert stack.final_norm is not None
    torch.testing.assert_close(model.compute_hidden(Inputs(TOKENS)), stack.final_norm(x))


def test_dropout_acts_in_training_only(tiny: Tiny) -> None:
    model = build(tiny(dropout=0.5), 32, seed=0)
    assert not torch.equal(model.compute_hidden(Inputs(TOKENS)), model.compute_hidden(Inputs(TOKENS)))
    model.eval()
    assert torch.equal(
        model.compute_hidden(Inputs(TOKENS)), build(tiny(), 32, seed=0).eval().compute_hidden(Inputs(TOKENS))
    )


def test_check_gives_config_plan_and_problems(tiny: Tiny) -> None:
    checked, plan, problems = check(tiny())
    assert problems == []
    assert plan is not None
    assert (plan.variant, plan.dim, checked["dim"]) == ("decoder", 16, 16)
    assert check({})[1] is None
