"""What was written of a model is checked whole: every problem at once, each where it was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zoo.model.build import check
from zoo.model.schema import check_model, list_model_options, merge

Tiny = Callable[..., dict[str, Any]]


def problems(config: dict[str, Any]) -> list[str]:
    found: list[str] = []
    check_model(config, found)
    return found


def test_the_options_of_a_model_are_those_of_its_classes() -> None:
    """Read from files; held here to the live classes."""
    from zoo.model.embedding import Embedding
    from zoo.model.head import Head
    from zoo.registry.signatures import read_class_options

    read = {option.name: option for option in list_model_options()}
    assert read["embedding"].type.options == read_class_options(Embedding)  # type: ignore[union-attr]
    assert read["head"].type.inner.options == read_class_options(Head)  # type: ignore[union-attr]


def test_all_problems_come_at_once(tiny: Tiny) -> None:
    found = problems(
        {
            **tiny("encoder_decoder"),
            "variant": "encoder_decoder",
            "layer": 3,
            "heads": "four",
            "attention": {"name": "multi_hed"},
            "ffn": {"name": "mlp", "activation": "rellu", "bais": True},
            "norm": "rms",
            "position": None,
            "embedding": {"scaled": 1},
            "encoder": {"layers": 1.5, "position": {"name": "rotary", "bse": 3}},
            "exceptions": {"odd": {"every": 2, "norm": {"eps": "small"}}},
        }
    )
    paths = [line.split(":")[0] for line in found]
    assert paths == [
        "model.layer",
        "model.heads",
        "model.embedding.scaled",
        "model.attention.name",
        "model.ffn.bais",
        "model.ffn.activation",
        "model.norm",
        "model.position",
        "model.encoder.layers",
        "model.encoder.position.bse",
    ]
    assert "did you mean layers?" in found[0]
    assert "did you mean multi_head?" in found[3]
    assert "did you mean bias?" in found[4]
    assert "did you mean relu?" in found[5]
    assert "{name: " in found[6]
    assert "did you mean base?" in found[9]


def test_a_wrong_part_does_not_make_further_lines(tiny: Tiny) -> None:
    """What is written over an unknown part cannot be judged."""
    config = tiny("encoder_decoder", attention={"name": "nix"}, encoder={"attention": {"kv_heads": 2}})
    config["exceptions"] = {"low": {"first": 1, "attention": {"bias": "all"}}}
    _, _, found = check(config)
    assert len(found) == 1
    assert found[0].startswith("model.attention.name: unknown attention 'nix'")


def test_numbers_have_one_form(tiny: Tiny) -> None:
    """So that equal configs have equal hashes."""
    given = [
        tiny(dim=16, position={"name": "rotary", "base": base}, exceptions={"x": {"at": [at], "dropout": drop}})
        for base, at, drop in ((10000, 1, 0), (10000.0, 1.0, 0.0), (1e4, 1, 0.0))
    ]
    forms = []
    for config in given:
        found: list[str] = []
        forms.append(repr(check_model(config, found)))
        assert found == []
    assert len(set(forms)) == 1
    assert repr(check_model(tiny(dim=1.6e1), [])) == repr(check_model(tiny(), []))


def test_the_checked_config_is_in_full_and_checks_to_itself(tiny: Tiny) -> None:
    config = tiny(
        "encoder_decoder", encoder={"position": {"name": "rotary"}}, exceptions={"x": {"last": 1, "heads": 2}}
    )
    once = check_model(config, found := [])
    assert once["attention"]["scores"]["window"] is None
    assert once["initialization"] == {"name": "normal", "std": 0.02}
    assert once["cross"] is None
    assert check_model(once, found) == once
    assert found == []


@pytest.mark.parametrize(
    ("over", "line"),
    [
        ({"encoder": {"layers": 1}}, "model.encoder: only an encoder_decoder has it: got variant=decoder"),
        ({"cross": {"name": "multi_head"}}, "model.cross: only an encoder_decoder has it: got variant=decoder"),
        ({"variant": "decodr"}, "model.variant: unknown choice 'decodr': did you mean decoder?"),
        ({"exceptions": [1]}, "model.exceptions: must be a mapping of names: got [1]"),
        ({"exceptions": {"a": 3}}, "model.exceptions.a: must be a mapping: got 3"),
        (
            {"exceptions": {"a": {"heads": 2}}},
            "model.exceptions.a: must have exactly one of first, last, every, at: got none",
        ),
        (
            {"exceptions": {"a": {"first": 1, "last": 1}}},
            "model.exceptions.a: must have exactly one of first, last, every, at: got first, last",
        ),
        ({"exceptions": {"a": {"first": "one"}}}, "model.exceptions.a.first: must be an int: got 'one'"),
        ({"exceptions": {"a": {"at": 1}}}, "model.exceptions.a.at: must be a list of int: got 1"),
        (
            {"exceptions": {"a": {"first": 1, "offset": 1}}},
            "model.exceptions.a.offset: needs every: got offset=1 without every",
        ),
        ({"exceptions": {"a": {"first": 1, "layers": 2}}}, "model.exceptions.a.layers: unknown key"),
        (
            {"exceptions": {"a": {"first": 1, "ffn": {"bas": 1}}}},
            "model.exceptions.a.ffn.bas: unknown key: did you mean bias?",
        ),
    ],
)
def test_each_problem_is_one_line_with_its_path(over: dict[str, Any], line: str, tiny: Tiny) -> None:
    _, _, found = check({**tiny(), **over})
    assert len(found) == 1, found
    assert found[0].startswith(line)


def test_an_exception_can_be_taken_back(tiny: Tiny) -> None:
    checked = check_model(tiny(exceptions={"a": None}), found := [])
    assert (checked["exceptions"], found) == ({}, [])


def test_mappings_are_merged() -> None:
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}
