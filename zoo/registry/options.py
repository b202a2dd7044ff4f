"""The supported option types: validation, construction and display of values.

An option is an int, float, bool, str, Literal, optional of these, tuple of these, or a small dataclass of these.
Validation reports all problems and never guesses: it returns the value in normalized form (10000 becomes 10000.0 where
a float is expected) and appends a message to ``problems`` for everything that is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.checks import suggest
from zoo.limits import check_limit


class _Unset:
    """Sentinel default of an option that must be given."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = _Unset()


@dataclass(frozen=True)
class Scalar:
    """An int, float, bool or str."""

    type: type

    def __str__(self) -> str:
        return self.type.__name__

    def check(self, value: Any, path: str, problems: list[str]) -> Any:
        """Returns the value as this type; only an int to a float and an integral float to an int are converted."""
        if isinstance(value, bool) is (self.type is bool) and isinstance(value, int | float | str):
            if isinstance(value, self.type):
                if isinstance(value, float) and not math.isfinite(value):
                    problems.append(f"{path}: must be finite: got {value}")
                return value
            if self.type is float and isinstance(value, int):
                return float(value)
            if self.type is int and isinstance(value, float) and value.is_integer():
                return int(value)
        problems.append(f"{path}: must be {_add_article(self)}: got {value!r}")
        return value

    def construct(self, value: Any) -> Any:
        """Returns the value as it is passed to the component."""
        return value


@dataclass(frozen=True)
class Choice:
    """A choice between several strings (Literal)."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return " | ".join(self.values)

    def check(self, value: Any, path: str, problems: list[str]) -> Any:
        """Returns the value, which must be one of the choices."""
        if value not in self.values:
            problems.append(f"{path}: unknown choice {value!r}: {suggest(str(value), self.values)}")
        return value

    def construct(self, value: Any) -> Any:
        """Returns the value as it is passed to the component."""
        return value


@dataclass(frozen=True)
class Maybe:
    """An optional type: the inner type or null."""

    inner: Type

    def __str__(self) -> str:
        return f"{self.inner} | null"

    def check(self, value: Any, path: str, problems: list[str]) -> Any:
        """Returns None for null, else the value checked by the inner type."""
        return None if value is None else self.inner.check(value, path, problems)

    def construct(self, value: Any) -> Any:
        """Returns the value as it is passed to the component."""
        return None if value is None else self.inner.construct(value)


@dataclass(frozen=True)
class Many:
    """A list whose items have the same type."""

    inner: Type

    def __str__(self) -> str:
        return f"list of {self.inner}"

    def check(self, value: Any, path: str, problems: list[str]) -> Any:
        """Returns the list with each item checked."""
        if isinstance(value, str) or not isinstance(value, Sequence):
            problems.append(f"{path}: must be a list of {self.inner}: got {value!r}")
            return value
        return [self.inner.check(item, f"{path}[{i}]", problems) for i, item in enumerate(value)]

    def construct(self, value: Any) -> Any:
        """Returns the tuple that is passed to the component."""
        return tuple(self.inner.construct(item) for item in value)


@dataclass(frozen=True)
class Record:
    """A small dataclass that groups related options."""

    name: str
    options: tuple[Option, ...]
    made_of: type | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{{{', '.join(f'{option.name}: {option.type}' for option in self.options)}}}"

    def check(self, value: Any, path: str, problems: list[str]) -> Any:
        """Returns the mapping with values checked and defaults filled in."""
        if not isinstance(value, Mapping):
            problems.append(f"{path}: must be a mapping: got {value!r}")
            return value
        return check_options(self.options, value, path, problems)

    def construct(self, value: Any) -> Any:
        """Returns the dataclass that is passed to the component."""
        if self.made_of is None:
            raise TypeError(f"{self.name} was read from a syntax tree and cannot be constructed")
        return self.made_of(**construct_options(self.options, value))


Type = Scalar | Choice | Maybe | Many | Record


@dataclass(frozen=True)
class Option:
    """An option of a component: name, type and default (``REQUIRED`` if it has none)."""

    name: str
    type: Type
    default: Any = REQUIRED

    def as_json(self) -> dict[str, Any]:
        """Returns the option as ``zoo list --json`` prints it."""
        shown = {"name": self.name, "type": str(self.type), "required": self.default is REQUIRED}
        return shown if self.default is REQUIRED else {**shown, "default": self.default}


def check_options(
    options: Sequence[Option], given: Mapping[str, Any], path: str, problems: list[str], also: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns the checked or default value of every option; reports unknown keys and missing values as problems.

    Invalid values are replaced by their defaults, so that checking can continue.

    Args:
        options: Known options.
        given: Values from the config.
        path: Dotted config path of ``given``.
        problems: List that a message is appended to for each problem.
        also: Additional keys that are allowed here and checked elsewhere; they are suggested as close matches too.
    """
    known = [option.name for option in options]
    for key in given:
        if key not in known and key not in also:
            problems.append(f"{join_path(path, str(key))}: unknown key: {suggest(str(key), [*known, *also])}")
    checked = {}
    for option in options:
        where = join_path(path, option.name)
        value = given.get(option.name, option.default)
        if value is REQUIRED:
            problems.append(f"{where}: must be given ({option.type})")
            continue
        before = len(problems)
        checked[option.name] = option.type.check(value, where, problems)
        if len(problems) == before:
            problems.extend(check_limit(option.name, checked[option.name], where))
        if len(problems) > before and option.default is not REQUIRED:
            checked[option.name] = option.default
    return checked


def construct_options(options: Sequence[Option], checked: Mapping[str, Any]) -> dict[str, Any]:
    """Converts checked values to constructor arguments: lists to tuples, mappings to dataclasses."""
    return {option.name: option.type.construct(checked[option.name]) for option in options}


def join_path(path: str, key: str) -> str:
    """Appends a key to a dotted config path."""
    return f"{path}.{key}" if path else key


def _add_article(scalar: Scalar) -> str:
    words = {int: "an int", float: "a float", bool: "true or false", str: "a string"}
    return words[scalar.type]
