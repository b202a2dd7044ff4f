"""What ``zoo train`` and ``zoo show`` say of choices that the command line does not name."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.command import TINY, zoo
from zoo.cli.show import PARSER, run
from zoo.cli.unnamed_choices import find_component_changes, note_component_changes


@pytest.mark.parametrize(
    ("overrides", "changes"),
    [
        ([], ()),
        (["model=gpt", "model.attention.bias=none"], ()),
        (["model=gpt", "model/attention=grouped_query"], ()),  # it has the option, which carries over
        (["model=gpt", "model/attention=latent"], ("attention.bias=all dropped",)),
        (["model=gpt", "model/attention=none"], ()),  # nothing of the slot is left
        (["model=gpt", "model/norm=rms"], ("norm.eps 1e-05 → 1e-06",)),
        (["model=gpt", "model/norm=rms", "model.norm.eps=1e-6"], ()),  # it is said
        (["model=gpt", "model/norm=rms", "++model.norm.eps=1e-3"], ()),
        (["model=transformer", "model/encoder/norm=rms"], ("encoder.norm.eps 1e-05 → 1e-06",)),
        (["model=transformer", "model/encoder/norm=layer"], ()),
    ],
)
def test_options_that_change_besides_the_component(overrides: list[str], changes: tuple[str, ...]) -> None:
    assert find_component_changes(overrides) == changes


def test_the_note_is_one_line() -> None:
    out = io.StringIO()
    note_component_changes(["model=gpt", "model/attention=latent", "model/norm=rms"], file=out)
    assert out.getvalue().splitlines() == [
        "note: other options change with the chosen components: attention.bias=all dropped; norm.eps 1e-05 → 1e-06"
    ]


def test_show_prints_it_apart_from_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(PARSER.parse(["model=gpt/tiny", "model/attention=latent", "--json"])) == 0
    out, err = capsys.readouterr()
    assert out.startswith("{")
    assert err.startswith("note: other options change with")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["model=gpt/tiny", "data=numbers"], "objective prefix_lm, the default for variant decoder with pairs"),
        (["model=gpt/tiny", "data=pycode"], "objective causal_lm, the default for variant decoder with documents"),
        (["model=bert/tiny", "data=numbers"], "objective masked_lm, the default for variant encoder with pairs"),
        (["model=gpt/tiny", "data=numbers", "objective=causal_lm"], None),
    ],
)
def test_show_tells_the_default_objective(
    overrides: list[str], line: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(PARSER.parse([*overrides, "model.vocabulary=100"])) == 0
    told = [each for each in capsys.readouterr().out.splitlines() if each.startswith("objective ")]
    assert told == ([] if line is None else [line])


def test_train_tells_the_default_objective_but_not_in_a_sweep(tmp_path: Path) -> None:
    note = "note: objective prefix_lm, the default for variant decoder with pairs"
    once = [*TINY, f"runs={tmp_path}"]
    assert zoo("train", *once).out.splitlines().count(note) == 1
    assert note not in zoo("train", *once, "objective=prefix_lm").out
    swept = zoo("train", "-m", *once, "seed=1,2")
    assert swept.code == 0, swept.err
    assert note not in swept.out
