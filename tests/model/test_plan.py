"""Overlays and exceptions, resolved to one plan for each layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zoo.model.plan import LayerPlan, ModelPlan, StackPlan, plan_model
from zoo.model.schema import check_model

Tiny = Callable[..., dict[str, Any]]


def planned(config: dict[str, Any]) -> ModelPlan:
    problems: list[str] = []
    plan = plan_model(check_model(config, problems), problems)
    assert problems == []
    return plan


def refused(config: dict[str, Any]) -> list[str]:
    problems: list[str] = []
    checked = check_model(config, problems)
    assert problems == []
    plan_model(checked, problems)
    return problems


def only(config: dict[str, Any]) -> StackPlan:
    (stack,) = planned(config).stacks
    return stack


def heads(config: dict[str, Any]) -> list[int]:
    return [layer.heads for layer in only(config).layers]


@pytest.mark.parametrize(
    ("where", "layers"),
    [
        ({"first": 2}, [0, 1]),
        ({"last": 2}, [4, 5]),
        ({"first": 99}, [0, 1, 2, 3, 4, 5]),
        ({"every": 1}, [0, 1, 2, 3, 4, 5]),
        ({"every": 2}, [1, 3, 5]),
        ({"every": 3}, [2, 5]),
        ({"every": 3, "offset": 0}, [0, 3]),
        ({"every": 3, "offset": 1}, [1, 4]),
        ({"at": [0, 4]}, [0, 4]),
    ],
)
def test_exceptions_are_about_these_layers(where: dict[str, Any], layers: list[int], tiny: Tiny) -> None:
    got = heads(tiny(layers=6, exceptions={"x": {**where, "heads": 2}}))
    assert [i for i, count in enumerate(got) if count == 2] == layers
    assert set(got) <= {2, 4}


@pytest.mark.parametrize("where", [{"first": 0}, {"at": []}, {"every": 7}, {"every": 0}, {"every": 2, "offset": 2}])
def test_an_exception_must_match_a_layer(where: dict[str, Any], tiny: Tiny) -> None:
    config = tiny(layers=6, exceptions={"x": {**where, "heads": 2}})
    assert refused(config) == ["model.exceptions.x: must match a layer: got none of 6 layers"]


def test_an_exception_may_match_in_one_stack_only(tiny: Tiny) -> None:
    config = tiny("encoder_decoder", encoder={"layers": 2}, layers=4, exceptions={"x": {"at": [3], "heads": 2}})
    encoder, decoder = planned(config).stacks
    assert [layer.heads for layer in encoder.layers] == [4, 4]
    assert [layer.heads for layer in decoder.layers] == [4, 4, 4, 2]
    config["exceptions"]["x"]["at"] = [4]
    assert refused(config) == ["model.exceptions.x.at: must be layers, from 0: got [4] of 2 and 4 layers"]


def test_the_later_exception_wins(tiny: Tiny) -> None:
    config = tiny(layers=4, exceptions={"a": {"first": 3, "heads": 2}, "b": {"last": 3, "heads": 8}})
    assert heads(config) == [2, 8, 8, 8]


def test_the_same_name_merges_and_another_replaces(tiny: Tiny) -> None:
    config = tiny(
        layers=4,
        attention={"name": "grouped_query", "kv_heads": 4, "scores": {"window": 3, "softcap": 5.0}},
        exceptions={
            "merge": {"at": [1], "attention": {"scores": {"window": None}}},
            "named": {"at": [2], "attention": {"name": "grouped_query", "kv_heads": 1}},
            "replace": {"at": [3], "attention": {"name": "multi_head"}},
        },
    )
    parts = [layer.attention for layer in only(config).layers]
    scores = [(part.options["scores"]["window"], part.options["scores"]["softcap"]) for part in parts]
    assert scores == [(3, 5.0), (None, 5.0), (3, 5.0), (3, 5.0)], "options that both parts have stay"
    assert [part.options.get("kv_heads") for part in parts] == [4, 4, 1, None]
    assert [part.name for part in parts] == ["grouped_query"] * 3 + ["multi_head"]
    assert [part.path for part in parts] == [
        "model.attention",
        "model.exceptions.merge.attention",
        "model.exceptions.named.attention",
        "model.exceptions.replace.attention",
    ]


def test_options_without_a_name_are_written_over_what_stands_there(tiny: Tiny) -> None:
    """Where an earlier exception or an overlay has put another component, they are about that one."""
    config = tiny(
        layers=2, exceptions={"a": {"first": 1, "ffn": {"name": "gated"}}, "b": {"every": 1, "ffn": {"bias": True}}}
    )
    assert [(layer.ffn.name, layer.ffn.options["bias"]) for layer in only(config).layers] == [
        ("gated", True),
        ("mlp", True),
    ]
    both = tiny("encoder_decoder", encoder={"attention": {"name": "grouped_query"}})
    both["exceptions"] = {"x": {"first": 1, "attention": {"scores": {"window": 3}}}}
    for stack, name in zip(planned(both).stacks, ("grouped_query", "multi_head"), strict=True):
        assert [layer.attention.name for layer in stack.layers] == [name, name]
        assert [layer.attention.options["scores"]["window"] for layer in stack.layers] == [3, None]


def test_options_that_mean_nothing_to_what_stands_there_are_refused(tiny: Tiny) -> None:
    both = tiny("encoder_decoder", encoder={"attention": {"name": "grouped_query"}})
    both["exceptions"] = {"x": {"first": 1, "attention": {"kv_heads": 4}}}
    (line,) = refused(both)
    assert line.startswith("model.exceptions.x.attention.kv_heads: unknown key: ")


def test_stacks_are_overlaid(tiny: Tiny) -> None:
    plan = planned(
        tiny(
            "encoder_decoder",
            layers=3,
            dropout=0.1,
            encoder={"layers": 1, "heads": 2, "input_norm": True, "ffn": {"bias": True}},
            decoder={"position": {"name": "rotary"}, "dropout": 0.2},
            cross={"name": "grouped_query", "kv_heads": 1},
        )
    )
    encoder, decoder = plan.stacks
    assert (encoder.name, len(encoder.layers), encoder.causal, encoder.input_norm) == ("encoder", 1, False, True)
    assert (decoder.name, len(decoder.layers), decoder.causal, decoder.input_norm) == ("decoder", 3, True, False)
    assert (encoder.base.heads, decoder.base.heads) == (2, 4)
    assert (encoder.base.dropout, decoder.base.dropout) == (0.1, 0.2)
    assert (encoder.base.ffn.options["bias"], decoder.base.ffn.options["bias"]) == (True, False)
    assert (encoder.base.position.name, decoder.base.position.name) == ("sinusoidal", "rotary")
    assert encoder.cross is None
    assert decoder.cross is not None
    assert (decoder.cross.name, decoder.cross.options["kv_heads"], decoder.cross.path) == (
        "grouped_query",
        1,
        "model.cross",
    )


def test_cross_attention_is_like_the_decoders_but_has_no_window(tiny: Tiny) -> None:
    """No distance is known between the tokens of two rows: padding one of them would move the window."""
    config = tiny(
        "encoder_decoder", attention={"name": "grouped_query", "kv_heads": 1, "scores": {"window": 3, "sinks": True}}
    )
    cross = planned(config).stacks[1].cross
    assert cross is not None
    assert (cross.name, cross.options["kv_heads"]) == ("grouped_query", 1)
    assert (cross.options["scores"]["window"], cross.options["scores"]["sinks"]) == (None, True)
    (line,) = refused({**config, "cross": {"name": "multi_head", "scores": {"window": 3}}})
    assert line.startswith("model.cross.scores.window: must be null, since")
    assert line.endswith("got 3")


def test_sizes_that_were_not_given_follow_from_others(tiny: Tiny) -> None:
    config = tiny(dim=24, heads=4, exceptions={"x": {"at": [1], "heads": 3, "head_dim": 5, "hidden": 7}})
    del config["hidden"]
    sizes: list[LayerPlan] = list(only(config).layers)
    assert [(layer.head_dim, layer.hidden) for layer in sizes] == [(6, 96), (5, 7)]


@pytest.mark.parametrize(
    ("over", "line"),
    [
        ({"dim": 0}, "model.dim: must be positive: got 0"),
        ({"layers": 0}, "model.layers: must be positive: got 0"),
        ({"heads": 0}, "model.heads: must be positive: got 0"),
        ({"head_dim": -1}, "model.head_dim: must be positive: got -1"),
        ({"hidden": 0}, "model.hidden: must be positive: got 0"),
        ({"dropout": 1.0}, "model.dropout: must be at least 0 and less than 1: got 1.0"),
        ({"heads": 3}, "model.heads: heads must divide dim unless head_dim is given: got heads=3, dim=16"),
        (
            {"exceptions": {"x": {"at": [0], "heads": 3}}},
            "model.exceptions.x.heads: heads must divide dim unless head_dim is given: got heads=3, dim=16",
        ),
    ],
)
def test_numbers_that_do_not_fit_are_named_where_they_were_written(over: dict[str, Any], line: str, tiny: Tiny) -> None:
    assert refused({**tiny(), **over}) == [line]


def test_layers_that_are_not_there_are_refused(tiny: Tiny) -> None:
    config = tiny(exceptions={"odd": {"at": [0, 99, -1], "hidden": 8}})
    assert refused(config) == ["model.exceptions.odd.at: must be layers, from 0: got [99, -1] of 2 layers"]
