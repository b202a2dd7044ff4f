"""Values are checked, brought to one form and never guessed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.registry.options import (
    REQUIRED,
    Choice,
    Many,
    Maybe,
    Option,
    Record,
    Scalar,
    Type,
    check_options,
    construct_options,
)

INNER = Record("Pair", (Option("a", Scalar(int), 1), Option("b", Maybe(Scalar(float)), None)))


def checked(kind: Type, value: Any) -> tuple[Any, list[str]]:
    problems: list[str] = []
    return kind.check(value, "x", problems), problems


@pytest.mark.parametrize(
    ("kind", "value", "normal"),
    [
        (Scalar(int), 3, 3),
        (Scalar(int), 1e3, 1000),
        (Scalar(float), 10000, 10000.0),
        (Scalar(float), 0.5, 0.5),
        (Scalar(bool), False, False),
        (Scalar(str), "7", "7"),
        (Choice(("on", "off")), "off", "off"),
        (Maybe(Scalar(float)), None, None),
        (Maybe(Scalar(float)), 2, 2.0),
        (Many(Scalar(float)), (1, 2.5), [1.0, 2.5]),
        (Many(Scalar(int)), [], []),
        (INNER, {"b": 2}, {"a": 1, "b": 2.0}),
        (Many(INNER), [{}], [{"a": 1, "b": None}]),
    ],
)
def test_right_values_have_one_form(kind: Type, value: Any, normal: Any) -> None:
    got, problems = checked(kind, value)
    assert problems == []
    assert repr(got) == repr(normal), "1 and 1.0 are not the same to a hash of the config"
    assert repr(checked(kind, got)[0]) == repr(got)


@pytest.mark.parametrize(
    ("kind", "value", "line"),
    [
        (Scalar(int), 1.5, "x: must be an int: got 1.5"),
        (Scalar(int), True, "x: must be an int: got True"),
        (Scalar(int), "3", "x: must be an int: got '3'"),
        (Scalar(int), None, "x: must be an int: got None"),
        (Scalar(float), "1e3", "x: must be a float: got '1e3'"),
        (Scalar(float), False, "x: must be a float: got False"),
        (Scalar(float), math.inf, "x: must be finite: got inf"),
        (Scalar(float), math.nan, "x: must be finite: got nan"),
        (Scalar(bool), 1, "x: must be true or false: got 1"),
        (Scalar(bool), "true", "x: must be true or false: got 'true'"),
        (Scalar(str), 7, "x: must be a string: got 7"),
        (Choice(("relu", "gelu")), "rellu", "x: unknown choice 'rellu': did you mean relu? choices: gelu, relu"),
        (Choice(("relu", "gelu")), ["relu"], "x: unknown choice ['relu']: did you mean relu? choices: gelu, relu"),
        (Maybe(Scalar(int)), 0.5, "x: must be an int: got 0.5"),
        (Many(Scalar(int)), "12", "x: must be a list of int: got '12'"),
        (Many(Scalar(int)), 12, "x: must be a list of int: got 12"),
        (Many(Scalar(int)), [1, "b"], "x[1]: must be an int: got 'b'"),
        (INNER, 3, "x: must be a mapping: got 3"),
        (INNER, {"a": "b"}, "x.a: must be an int: got 'b'"),
        (INNER, {"aa": 1}, "x.aa: unknown key: did you mean a? choices: a, b"),
    ],
)
def test_wrong_values_are_named(kind: Type, value: Any, line: str) -> None:
    assert checked(kind, value)[1] == [line]


@given(
    st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text())
)
def test_a_scalar_is_kept_in_value_or_refused(value: Any) -> None:
    for kind in (int, float, bool, str):
        got, problems = checked(Scalar(kind), value)
        if problems:
            assert repr(value) in problems[0]
        else:
            assert type(got) is kind
            assert got == value


def test_all_problems_come_at_once() -> None:
    options = (Option("width", Scalar(int), 2), Option("rate", Scalar(float)), Option("kind", Choice(("a", "b")), "a"))
    problems: list[str] = []
    got = check_options(options, {"width": "wide", "kind": "c", "widht": 3, "also": 1}, "here", problems, also=["also"])
    assert problems == [
        "here.widht: unknown key: did you mean width? choices: also, kind, rate, width",
        "here.width: must be an int: got 'wide'",
        "here.rate: must be given (float)",
        "here.kind: unknown choice 'c': choices: a, b",
    ]
    assert got == {"width": 2, "kind": "a"}, "the default stands in for what is wrong"


def test_a_record_is_constructed_from_its_dataclass() -> None:
    made = Record("Range", (Option("start", Scalar(int), 0), Option("stop", Scalar(int), 1)), made_of=dict)
    assert construct_options(
        (Option("r", made), Option("m", Many(Scalar(int)))), {"r": {"start": 1, "stop": 5}, "m": [1]}
    ) == {
        "r": {"start": 1, "stop": 5},
        "m": (1,),
    }
    with pytest.raises(TypeError, match="Pair was read from a syntax tree"):
        INNER.construct({"a": 1, "b": None})


def test_types_are_shown_as_a_person_writes_them() -> None:
    assert str(Maybe(Many(Scalar(int)))) == "list of int | null"
    assert str(INNER) == "{a: int, b: float | null}"
    assert Option("x", Scalar(int)).as_json() == {"name": "x", "type": "int", "required": True}
    assert Option("x", Scalar(int), 3).as_json() == {"name": "x", "type": "int", "required": False, "default": 3}
    assert repr(REQUIRED) == "required"


def test_what_is_beyond_a_limit_is_one_problem_a_value() -> None:
    options = (Option("steps", Scalar(int)), Option("at", Many(Scalar(int)), ()), Option("seed", Scalar(int), 0))
    for written, told in (
        ({"steps": 10**12}, []),
        ({"steps": 10**12 + 1}, ["steps: must be at most 1000000000000: got 1000000000001"]),
        ({"steps": list(range(5_000))}, ["steps: must be an int: got ["]),
        ({"steps": 1, "at": [2**31] * 3}, ["at[0]: must be at most 2147483647: got 2147483648"]),
        ({"steps": 1, "at": [0] * 10_001}, ["at: must have at most 10000 items: got 10001"]),
        ({"steps": 1, "seed": 10**5_000}, ["seed: must be at most 9223372036854775807: got an integer of 16610 bits"]),
    ):
        problems: list[str] = []
        check_options(options, written, "", problems)
        assert [line[: len(start)] for line, start in zip(problems, told, strict=True)] == told
