"""The note of ``zoo train`` and ``zoo show`` on options that a chosen component changes besides itself."""

from __future__ import annotations

import io

import pytest

from zoo.cli.component_changes import find_component_changes, note_component_changes
from zoo.cli.show import PARSER, run


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
