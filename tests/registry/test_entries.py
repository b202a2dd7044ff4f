"""Names, the index, and what is refused when a component is registered."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from torch import Tensor

from zoo.checks import Refused
from zoo.model.interfaces import Norm
from zoo.registry import KINDS, Entry, entries, get_index, get_live_options, list_kind, read_module, register


@pytest.fixture
def scratch() -> Iterator[None]:
    """What a test registers is forgotten afterwards."""
    before = set(entries._unfiled)
    yield
    for kind, name in set(entries._unfiled) - before:
        entries.forget(kind, name)


def test_the_index_imports_no_torch() -> None:
    code = (
        "import sys, zoo.registry, zoo.model.schema, zoo.model.plan\n"
        "found = zoo.registry.get_index()\n"
        "assert {kind for kind, _ in found.entries} == set(zoo.registry.KINDS), found\n"
        "zoo.model.schema.list_model_options()\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'hydra', 'omegaconf', 'lightning', 'numpy')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_built_in_is_broken() -> None:
    assert get_index().broken == ()
    assert {kind for kind, _ in get_index().entries} == set(KINDS)


def test_an_unknown_name_gives_the_near_miss_and_all_choices() -> None:
    with pytest.raises(Refused) as refusal:
        get_index().get("norm", "rmss")
    assert (
        str(refusal.value)
        == f"unknown norm 'rmss': did you mean rms? choices: {', '.join(get_index().get_names('norm'))}"
    )
    with pytest.raises(Refused, match="unknown kind 'nrom': did you mean norm"):
        register("nrom", "x")


@pytest.mark.usefixtures("scratch")
def test_a_name_that_is_taken_names_both_classes() -> None:
    with pytest.raises(Refused) as refusal:

        @register("norm", "rms")
        class Other:
            pass

    line = str(refusal.value)
    assert line.startswith("norm 'rms' is taken: zoo.components.norm.rms.RmsNorm and ")
    assert line.endswith(".Other")


@pytest.mark.usefixtures("scratch")
def test_a_class_made_in_a_session_is_built_like_any_other() -> None:
    @register("norm", "scaled_by_seven")
    class Seven(Norm):
        """x times seven."""

        def __init__(self, dim: int, *, offset: float = 1) -> None:
            super().__init__()
            self.offset = offset

        def forward(self, x: Tensor) -> Tensor:
            return 7 * x + self.offset

    entry = get_index().get("norm", "scaled_by_seven")
    assert (entry.load(), entry.description, entry.distribution) == (Seven, "x times seven.", None)
    assert entry.options == get_live_options("norm", "scaled_by_seven")
    assert entry.options[0].default == 1.0


@pytest.mark.usefixtures("scratch")
def test_an_option_outside_the_closed_list_is_refused() -> None:
    with pytest.raises(Refused, match=r"Tabulated: option table: type .*dict.* is not allowed"):

        @register("norm", "tabulated")
        class Tabulated:
            def __init__(self, dim: int, *, table: dict[str, int]) -> None:
                pass

    assert "tabulated" not in get_index().get_names("norm")


@pytest.mark.usefixtures("scratch")
def test_a_signature_that_is_not_the_one_in_the_file_is_refused() -> None:
    """For example one that a decorator or another version on the path has changed."""

    class RmsNorm:
        def __init__(self, dim: int, *, eps: float = 1e-3, weight: bool = True) -> None:
            pass

    RmsNorm.__module__ = "zoo.components.norm.rms"
    get_index().get("norm", "rms").load()
    with pytest.raises(
        Refused, match=r"zoo\.components\.norm\.rms\.RmsNorm: signature differs from its file: .*1e-06.*0\.001"
    ):
        register("norm", "rms", paper="arXiv:1910.07467")(RmsNorm)


def test_what_cannot_be_imported_is_named() -> None:
    entry = Entry("norm", "gone", "zoo.components.norm.gone", "Gone", (), "", distribution="some-plugin")
    with pytest.raises(Refused, match="norm gone of some-plugin cannot be imported: No module named"):
        entry.load()


def test_an_entry_as_json() -> None:
    shown = get_index().get("norm", "rms").as_json()
    assert shown["class"] == "zoo.components.norm.rms.RmsNorm"
    assert shown["options"][0] == {"name": "eps", "type": "float", "required": False, "default": 1e-6}
    assert [entry.name for entry in read_module("zoo.components.norm.rms")] == ["rms"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_is_listed_as_the_index_has_it(kind: str, scratch: None) -> None:
    expected = {name: entry for (found, name), entry in get_index().entries.items() if found == kind}
    assert expected
    assert list_kind(kind) == expected

    @register(kind, "unfiled")
    class Unfiled:
        """A class that no file declares."""

        def __init__(self) -> None: ...

    assert set(list_kind(kind)) == {*expected, "unfiled"}
