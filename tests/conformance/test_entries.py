"""What the registry says of each component is what its class and its file say."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from zoo import interfaces
from zoo.options import Choice, Maybe, Option, Scalar, check_options
from zoo.registry import Entry, live_options

GIVEN = {
    "attention": ["dim", "heads", "head_dim", "norm"],
    "ffn": ["dim", "hidden"],
    "norm": ["dim"],
    "position": ["dim", "heads", "head_dim", "causal"],
    "residual": ["dim", "norm", "sublayers", "layer", "layers"],
    "objective": ["dim", "vocabulary", "variant"],
    "data": [],
    "tokenizer": [],
}
BASES = {
    "attention": interfaces.Attention,
    "ffn": interfaces.FeedForward,
    "norm": interfaces.Norm,
    "position": interfaces.Position,
    "residual": interfaces.Residual,
    "objective": interfaces.Objective,
}


def test_the_file_says_what_the_class_says(entry: Entry) -> None:
    assert entry.options == live_options(entry.kind, entry.name)


def test_it_takes_what_every_component_of_its_kind_is_given(entry: Entry) -> None:
    parameters = list(inspect.signature(entry.load().__init__).parameters.values())[1:]
    own = [item.name for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY]
    assert own == [option.name for option in entry.options]
    if entry.load().__init__ is not object.__init__:
        assert [item.name for item in parameters if item.name not in own] == GIVEN[entry.kind], "no *args, no **kwargs"


def test_it_is_final_and_fills_its_slot(entry: Entry) -> None:
    cls = entry.load()
    assert getattr(cls, "__final__", False)
    assert not inspect.isabstract(cls)
    assert issubclass(cls, BASES.get(entry.kind, object))


def test_one_name_everywhere(entry: Entry) -> None:
    """File and registered name are one."""
    assert entry.module.rpartition(".")[2] == entry.name


def test_every_argument_is_described(entry: Entry) -> None:
    doc = inspect.cleandoc(entry.load().__doc__ or "")
    assert entry.description == doc.splitlines()[0]
    assert entry.description.endswith((".", ";", ",")) or len(entry.description) > 20
    for name in (*GIVEN[entry.kind], *(option.name for option in entry.options)):
        assert re.search(rf"^    {name}: ", doc, re.MULTILINE), f"{name} is not described"


def test_a_paper_can_be_found(entry: Entry) -> None:
    assert entry.paper is None or re.fullmatch(r"(arXiv:\d{4}\.\d{4,5}|doi:10\..+|https://.+)", entry.paper)


def wrong(option: Option) -> Any:
    """A value of another type than the option's."""
    kind = option.type.inner if isinstance(option.type, Maybe) else option.type
    if isinstance(kind, Scalar) and kind.type is str:
        return 7
    return "seven" if isinstance(kind, Choice) or kind != Scalar(str) else 7


def test_all_wrong_values_are_named_at_once(entry: Entry) -> None:
    problems: list[str] = []
    checked = check_options(entry.options, {o.name: wrong(o) for o in entry.options}, "here", problems)
    assert len(problems) == len(entry.options)
    for option, problem in zip(entry.options, problems, strict=True):
        assert problem.startswith(f"here.{option.name}: ")
        assert repr(wrong(option)) in problem
    assert checked == {o.name: o.default for o in entry.options if o.default is not wrong(o)} | {
        o.name: wrong(o) for o in entry.options if o.name not in checked or checked[o.name] != o.default
    }


def test_a_misspelt_option_is_named_with_its_near_miss(entry: Entry) -> None:
    for option in entry.options:
        problems: list[str] = []
        given = {o.name: o.default for o in entry.options if o is not option}
        check_options(entry.options, {**given, f"{option.name}x": 1}, "here", problems)
        assert any(
            line.startswith(f"here.{option.name}x: unknown key") and f"did you mean {option.name}?" in line
            for line in problems
        )


@pytest.mark.parametrize("kind", BASES)
def test_the_interfaces_list_what_is_given(kind: str) -> None:
    """The list above is the one in the interface's docstring."""
    doc = inspect.getdoc(BASES[kind]) or ""
    found = re.search(r"``__init__\((.*?), \*, …\)``", doc)
    assert found is not None
    assert found.group(1).split(", ") == GIVEN[kind]
