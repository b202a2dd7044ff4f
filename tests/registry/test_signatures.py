"""A signature means the same in a file and in a live class, and what is outside the closed list is refused."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zoo.registry.options import REQUIRED, Choice, Many, Maybe, Option, Record, Scalar
from zoo.registry.signatures import (
    Unreadable,
    find_class,
    locate_module,
    parse_file,
    read_class_options,
    read_tree_options,
)

HEAD = """
from __future__ import annotations
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, Union
from zoo.model.attend import Scores
import zoo.model.activation as activation
from zoo.model.activation import Activation as Function

Mode = Literal["slow", "fast"]
WIDTH = 3

@dataclass(frozen=True)
class Inner:
    a: int = 1
    b: float | None = 2

@dataclass
class Outer:
    needed: str
    inner: Inner = Inner(a=5)

class Bare:
    pass

class Thing:
    def __init__(self, dim: int, *, {}) -> None:
        pass
"""


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Any]:
    """Reads ``option`` from the file and from the class; each may refuse."""
    made: list[str] = []

    def read(option: str) -> tuple[Any, Any]:
        file = tmp_path / f"written_{len(made)}.py"
        file.write_text(HEAD.replace("{}", option), encoding="utf8")
        tree = ast.parse(file.read_text(encoding="utf8"))
        results: list[Any] = []

        def live() -> Any:
            spec = importlib.util.spec_from_file_location(file.stem, file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[file.stem] = module
            made.append(file.stem)
            spec.loader.exec_module(module)
            return read_class_options(module.Thing)

        for way in (lambda: read_tree_options(tree, find_class(tree, "Thing")), live):
            try:
                results.append(way())
            except Unreadable as error:
                results.append(error)
        return results[0], results[1]

    yield read
    for name in made:
        sys.modules.pop(name, None)


INNER = Record("Inner", (Option("a", Scalar(int), 1), Option("b", Maybe(Scalar(float)), 2.0)))


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("x: int", Option("x", Scalar(int), REQUIRED)),
        ("x: int = -3", Option("x", Scalar(int), -3)),
        ("x: float = 1", Option("x", Scalar(float), 1.0)),
        ("x: bool = True", Option("x", Scalar(bool), True)),
        ("x: str = 'a'", Option("x", Scalar(str), "a")),
        ("x: int | None = None", Option("x", Maybe(Scalar(int)), None)),
        ("x: Literal['a', 'b'] = 'b'", Option("x", Choice(("a", "b")), "b")),
        ("x: Literal['a'] | None = 'a'", Option("x", Maybe(Choice(("a",))), "a")),
        ("x: Mode = 'fast'", Option("x", Choice(("slow", "fast")), "fast")),
        ("x: tuple[int, ...] = (1, 2)", Option("x", Many(Scalar(int)), [1, 2])),
        ("x: tuple[float, ...] | None = None", Option("x", Maybe(Many(Scalar(float))), None)),
        ("x: Inner = Inner()", Option("x", INNER, {"a": 1, "b": 2.0})),
        ("x: Inner = Inner(b=7)", Option("x", INNER, {"a": 1, "b": 7.0})),
        ("x: Inner", Option("x", INNER, REQUIRED)),
        (
            "x: Outer = Outer(needed='y')",
            Option(
                "x",
                Record("Outer", (Option("needed", Scalar(str)), Option("inner", INNER, {"a": 5, "b": 2.0}))),
                {"needed": "y", "inner": {"a": 5, "b": 2.0}},
            ),
        ),
    ],
)
def test_both_readings_agree(option: str, expected: Option, both: Any) -> None:
    read, live = both(option)
    assert read == live == (expected,)
    assert repr(read[0].default) == repr(expected.default)


def test_types_of_other_modules_are_followed(both: Any) -> None:
    read, live = both("x: Scores = Scores(window=4), y: Function = 'relu'")
    assert read == live
    assert read[0].default["window"] == 4
    assert "relu" in read[1].type.values


@pytest.mark.parametrize(
    "option",
    [
        "x: Any = None",
        "x: list[int] = [1]",
        "x: dict[str, int] | None = None",
        "x: Sequence[int] = (1,)",
        "x: tuple[int, int] = (1, 2)",
        "x: int | str = 1",
        "x: bytes = b''",
        "x: complex = 1j",
        "x: Bare = None",
        "x: int = 'a'",
        "x: int = None",
        "x: Mode = 'medium'",
        "x: float = float('inf')",
        "x: tuple[int, ...] = ('a',)",
        "x: Literal[1, 2] = 1",
    ],
)
def test_what_is_outside_the_closed_list_is_refused_both_ways(option: str, both: Any) -> None:
    for error in both(option):
        assert isinstance(error, Unreadable), error
        assert "option x: " in str(error)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("x=3", "option x: it has no annotation"),
        ("x: int = WIDTH", "option x: default WIDTH is not a literal"),
        ("x: int = 2 * 3", "option x: default 2 * 3 is not a literal"),
        ("x: Inner = Inner(7)", "option x: default Inner(7) is not a literal"),
        ("x: activation.Activation = 'relu'", "option x: type activation.Activation is not allowed"),
        ("x: Optional[int] = None", "option x: type Optional[int] is not allowed"),
        ("x: None | int = None", "option x: type None | int is not allowed"),
        ("x: Missing = 1", "option x: type Missing is not allowed"),
    ],
)
def test_what_a_file_alone_cannot_tell_is_refused(option: str, said: str, both: Any) -> None:
    """A live class would know more, but the index must not import."""
    try:
        error, _ = both(option)
    except (NameError, TypeError):  # the live reading fails in its own way
        tree = ast.parse(HEAD.replace("{}", option))
        with pytest.raises(Unreadable) as caught:
            read_tree_options(tree, find_class(tree, "Thing"))
        error = caught.value
    assert str(error).startswith(said)


def test_a_class_without_init_has_no_options() -> None:
    tree = ast.parse("class A:\n    pass")
    assert read_tree_options(tree, find_class(tree, "A")) == ()
    with pytest.raises(Unreadable, match="there is no class B"):
        find_class(tree, "B")


INHERITING = """
from __future__ import annotations
import abc
from abc import ABC
from math import no_such_class
from written_base import Middle

class Here(Middle, ABC):
    pass

class Other(abc.ABC, no_such_class):
    pass

class Own(Middle):
    def __init__(self, *, y: int = 1) -> None:
        super().__init__(x=y)
"""
BASE = """
from __future__ import annotations
from typing import Literal

Mode = Literal["slow", "fast"]

class Base:
    def __init__(self, dim: int = 1, *, x: int = 2, mode: Mode = "slow") -> None:
        pass

class Middle(Base):
    pass
"""


def test_an_inherited_constructor_is_read_where_it_is_defined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through classes of other modules, with the names of the module that defines it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "written_base.py").write_text(BASE, encoding="utf8")
    tree = ast.parse(INHERITING)
    expected = (Option("x", Scalar(int), 2), Option("mode", Choice(("slow", "fast")), "slow"))
    assert read_tree_options(tree, find_class(tree, "Here")) == expected
    assert read_tree_options(tree, find_class(tree, "Own")) == (Option("y", Scalar(int), 1),)
    assert read_tree_options(tree, find_class(tree, "Other")) == ()


def test_both_readings_agree_on_an_inherited_constructor() -> None:
    from zoo.components.data.copy import Copy

    tree = parse_file(locate_module("zoo.components.data.copy"))
    read = read_tree_options(tree, find_class(tree, "Copy"))
    assert read == read_class_options(Copy)
    assert [option.name for option in read][:2] == ["symbols", "train_length"]


def test_modules_are_found_without_importing_them() -> None:
    assert locate_module("zoo.model.attend").name == "attend.py"
    assert locate_module("zoo.components.attention").name == "__init__.py"
    for name in ("zoo.no_such_module", "no_such_package_at_all", "no_such_package_at_all.inner"):
        with pytest.raises(Unreadable, match=f"module {name} cannot be found"):
            locate_module(name)


def test_a_file_that_is_not_python_is_named(tmp_path: Path) -> None:
    for name, content in (("syntax.py", b"def ("), ("bytes.py", b"\xff\xfe"), ("null.py", b"x = 1\x00")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unreadable, match=name):
            parse_file(tmp_path / name)
    with pytest.raises(Unreadable, match=r"missing\.py"):
        parse_file(tmp_path / "missing.py")
