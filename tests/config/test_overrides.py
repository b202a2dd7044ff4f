"""Overrides as people write them: what Hydra's grammar cannot read is quoted, or told how to quote."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.command import ON_CPU, SMALL, refusal
from zoo.checks import Refused
from zoo.config.compose import compose_run
from zoo.config.overrides import list_sweep_values, parse_word, quote_if_needed


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("data.path=2024", "2024"),
        ("data.path=007", "007"),
        ("data.path=1e3", "1e3"),
        ("+data.path=2_024", "2_024"),
        ("data.tokenizer.path=1.50", "1.50"),
        ("label=true", "true"),
        ("label=", ""),
        ("runs='2024'", "2024"),
        ("data.path=数据", "数据"),
        ("data.path=/home/jürgen/a b.txt", "/home/jürgen/a b.txt"),
        ('data.path="数据"', "数据"),
        ("model.path=7", "7"),
        ("data.path=null", None),
        ("model.dim=2024", 2024),
        ("optimizer.lr=1e-3", 0.001),
        ("data.subset=3", "3"),
    ],
)
def test_a_value_is_what_was_written(word: str, value: object) -> None:
    found = parse_word(word).value()
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("word", ["data.path=数据,其他", "data.path=数据(1)", "label=it's 数"])
def test_what_may_mean_something_else_is_told_how_to_quote(word: str) -> None:
    with pytest.raises(Refused, match="must be quoted: ") as refused:
        parse_word(word)
    import shlex

    (quoted,) = shlex.split(str(refused.value).partition("must be quoted: ")[2])
    assert parse_word(quoted).value() == word.partition("=")[2]


def test_quoting_leaves_alone_what_the_grammar_reads() -> None:
    for word in ("model.dim=64", "seed=1,2", "data.path=${runs}/x", "model/norm=rms", "~clip", "x", "a={b: 数}"):
        assert quote_if_needed(word) == word
    assert OverridesParser.create().parse_override(quote_if_needed("data.path=数据")).value() == "数据"


def test_a_path_that_is_a_number_is_a_path() -> None:
    """A file of that name is looked for, in the run's own words, and not in those of a type checker."""
    lines = refusal(["model=gpt/tiny", *SMALL, *ON_CPU, "data=text", "data.path=007"])
    assert [line for line in lines if line.startswith("data")] == ["data text: path does not exist: got path=007"]
    assert compose_run(["data=text", "data.path=数据"])["data"]["path"] == "数据"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("seed=range(1,1000000000)", "seed: must have at most 2000 values in a sweep"),
        ("seed=shuffle(range(1,1000000000))", "seed: must have at most 2000 values in a sweep"),
        ("seed=range(1,5,0)", "seed: cannot be swept"),
        ("seed=range(0)", "seed: must have at least one value"),
    ],
)
def test_a_sweep_has_an_end(word: str, told: str) -> None:
    with pytest.raises(Refused, match=told.replace("(", r"\(")):
        list_sweep_values(parse_word(word))
    assert list_sweep_values(parse_word("seed=range(1,4)")) == ["1", "2", "3"]
