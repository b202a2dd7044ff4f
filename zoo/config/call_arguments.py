"""Checks arguments in a config against the signature of the class or function that receives them."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from zoo.registry.options import Scalar

_SCALARS = (bool, int, float, str)
_LISTS = (list, tuple, Sequence, Iterable)
_RANGES = {
    "lr": (0.0, math.inf),
    "weight_decay": (0.0, math.inf),
    "eps": (0.0, math.inf),
    "momentum": (0.0, math.inf),
    "betas": (0.0, 1.0),
}
"""Range of common optimizer arguments: at least the first number, and less than the second."""


def find_argument_problems(path: str, given: Mapping[str, Any], signature: inspect.Signature) -> list[str]:
    """Finds values that have the wrong type, are not finite, or are out of range; returns a message for each.

    Args:
        path: config path of the arguments, such as ``optimizer``.
        given: values by argument name.
        signature: of the class or function, with annotations evaluated. Arguments that it does not annotate are
            checked for finite numbers alone, and arguments whose default is not finite are not checked.
    """
    problems: list[str] = []
    for name, value in given.items():
        parameter = signature.parameters.get(name)
        if parameter is None or not all(map(math.isfinite, _list_floats(parameter.default))):
            continue
        where = f"{path}.{name}"
        found = _find_type_problems(where, value, parameter.annotation)
        problems += found or (
            _find_range_problems(where, value, *_RANGES[name]) if _is_ranged(path, name, value) else []
        )
    return problems


def _find_type_problems(path: str, value: Any, annotation: Any) -> list[str]:
    """Finds problems of a value, unless a member of the annotated union accepts it."""
    members = [each for each in _list_members(annotation) if _is_plain(each)]
    if not members or any(_is_open(each) for each in _list_members(annotation)):
        return [f"{path}: must be finite: got {number}" for number in _list_floats(value) if not math.isfinite(number)]
    attempts = [_find_member_problems(path, value, each) for each in members]
    if not all(attempts):
        return []
    wanted = [(each, attempt) for each, attempt in zip(members, attempts, strict=True) if each is not type(None)]
    return wanted[0][1] if len(wanted) == 1 else [f"{path}: must be {_spell(members)}: got {value!r}"]


def _list_members(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for each in typing.get_args(annotation):
            yield from _list_members(each)
    else:
        yield annotation


def _is_plain(member: Any) -> bool:
    """True for types of values that a config can hold, unlike tensors or strategy objects."""
    origin = typing.get_origin(member)
    return member in (*_SCALARS, *_LISTS, type(None)) or origin in _LISTS or origin is typing.Literal


def _is_open(member: Any) -> bool:
    """True for types that accept any value, and for mappings, whose content the receiver checks."""
    return member is Any or (typing.get_origin(member) or member) in (dict, Mapping, inspect.Parameter.empty)


def _find_member_problems(path: str, value: Any, member: Any) -> list[str]:
    problems: list[str] = []
    if member in _SCALARS:
        Scalar(member).check(value, path, problems)
    elif member is type(None) or typing.get_origin(member) is typing.Literal:
        choices = (None,) if member is type(None) else typing.get_args(member)
        problems += [] if value in choices else [f"{path}: must be {_spell([member])}: got {value!r}"]
    else:
        problems += _find_list_problems(path, value, member)
    return problems


def _find_list_problems(path: str, value: Any, member: Any) -> list[str]:
    """Checks a tuple with a type for each item, or a list of any length with one type."""
    items = [each for each in typing.get_args(member) if each is not ...]
    is_fixed = typing.get_origin(member) is tuple and ... not in typing.get_args(member)
    if not isinstance(value, list | tuple) or (is_fixed and len(value) != len(items)):
        return [f"{path}: must be {_spell([member])}: got {value!r}"]
    places = items if is_fixed else [items[0] if items else Any] * len(value)
    pairs = zip(value, places, strict=True)
    return [line for i, (item, each) in enumerate(pairs) for line in _find_type_problems(f"{path}[{i}]", item, each)]


def _spell(members: Sequence[Any]) -> str:
    words = {bool: "true or false", int: "an int", float: "a float", str: "a string", type(None): "null"}
    return " or ".join(words.get(each) or _spell_list(each) for each in members)


def _spell_list(member: Any) -> str:
    arguments = typing.get_args(member)
    if typing.get_origin(member) is typing.Literal:
        return " or ".join(map(repr, arguments))
    is_fixed = typing.get_origin(member) is tuple and ... not in arguments
    return f"a list of {len(arguments)} values" if is_fixed else "a list"


def _is_ranged(path: str, name: str, value: Any) -> bool:
    return path == "optimizer" and name in _RANGES and isinstance(value, int | float | list)


def _find_range_problems(path: str, value: Any, low: float, high: float) -> list[str]:
    rule = "must not be negative" if high == math.inf else f"must be at least {low:g} and less than {high:g}"
    wrong = [number for number in _list_floats(value) if not low <= number < high]
    return [f"{path}: {rule}: got {value}"] if wrong else []


def _list_floats(value: Any) -> Iterator[float]:
    """Yields the numbers of a value, including those of nested lists."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _list_floats(item)
    elif isinstance(value, int | float):
        yield math.inf if isinstance(value, int) and abs(value) > 10**300 else float(value)
