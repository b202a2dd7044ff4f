"""The closed list of option types: what a value may be, how it is checked, how it is shown.

An option is an int, float, bool, str, Literal, optional of these, tuple of these, or a small dataclass of these.
Checking never stops at the first problem and never guesses: it returns the value in one normal form (10000 is
10000.0 where a float is asked for) and appends a line to ``problems`` for everything that is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.checks import suggest
from zoo.limits import check_limit


class _Unset:
    """The default of an option that has none: it must be given."""

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
        """The value as this type; an int is a float and 1e3 is an int, but nothing else is converted."""
        if isinstance(value, bool) is (self.type is bool) and isinstance(value, int | float | str):
            if isinstance(value, self.type):
                if isinstance(value, float) and not math.isfinite(value):
                    problems.append(f"{path}: must be finite: got {value}")
                return value
            if self.type is float and isinstance(value, int):
                return float(value)
            if self.type is int and isinstance(value, float) and value.is_integer():
                return int(value)
        problems.append(f"{path}: must be {_article(self)}: got {value!r}")
        return value

    def construct(self, value: Any) -> Any:
        """The value handed to the component."""
        return value


@dataclass(frozen=True)
class Choice:
    """One of several words (Literal)."""

    values: tuple[str, ...]

    def __str__(self) -> str:
        return " | ".join(self.values)

    def check(self, value: Any, path: str, problems: list[str]) -> Any:
        """The value, which must be one of the words."""
        if value not in self.values:
            problems.append(f"{path}: unknown choice {value!r}: {suggest(str(value), self.values)}")
        return value

    def construct(self, value: Any) -> Any:
        """The value handed to the component."""
        return value


@dataclass(frozen=True)
class Maybe:
    """A type or null."""

    inner: Type

    def __str__(self) -> str:
        return f"{self.inner} | null"

    def check(self, value: Any, path: str, problems: list[str]) -> Any:
        """Null, or what the inner type makes of it."""
        return None if value is None else self.inner.check(value, path, problems)

    def construct(self, value: Any) -> Any:
        """The value handed to the component."""
        return None if value is None else self.inner.construct(value)


@dataclass(frozen=True)
class Many:
    """A list of one type."""

    inner: Type

    def __str__(self) -> str:
        return f"list of {self.inner}"

    def check(self, value: Any, path: str, problems: list[str]) -> Any:
        """A list, each item checked."""
        if isinstance(value, str) or not isinstance(value, Sequence):
            problems.append(f"{path}: must be a list of {self.inner}: got {value!r}")
            return value
        return [self.inner.check(item, f"{path}[{i}]", problems) for i, item in enumerate(value)]

    def construct(self, value: Any) -> Any:
        """The tuple handed to the component."""
        return tuple(self.inner.construct(item) for item in value)


@dataclass(frozen=True)
class Record:
    """A small dataclass: options that belong together."""

    name: str
    options: tuple[Option, ...]
    made_of: type | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{{{', '.join(f'{option.name}: {option.type}' for option in self.options)}}}"

    def check(self, value: Any, path: str, problems: list[str]) -> Any:
        """A mapping of known keys, with defaults filled in."""
        if not isinstance(value, Mapping):
            problems.append(f"{path}: must be a mapping: got {value!r}")
            return value
        return check_options(self.options, value, path, problems)

    def construct(self, value: Any) -> Any:
        """The dataclass handed to the component."""
        if self.made_of is None:
            raise TypeError(f"{self.name} was read from a syntax tree and cannot be constructed")
        return self.made_of(**construct_options(self.options, value))


Type = Scalar | Choice | Maybe | Many | Record


@dataclass(frozen=True)
class Option:
    """One option of a component: a name, a type, a default (``REQUIRED`` if it has none)."""

    name: str
    type: Type
    default: Any = REQUIRED

    def as_json(self) -> dict[str, Any]:
        """What ``zoo list --json`` says of it."""
        shown = {"name": self.name, "type": str(self.type), "required": self.default is REQUIRED}
        return shown if self.default is REQUIRED else {**shown, "default": self.default}


def check_options(
    options: Sequence[Option], given: Mapping[str, Any], path: str, problems: list[str], also: Sequence[str] = ()
) -> dict[str, Any]:
    """Every option with its checked or default value; unknown keys and missing ones are problems.

    In place of a wrong value stands the default, so that the rest can be looked at too.

    Args:
        options: what is known.
        given: what was written.
        path: where it was written, as a dotted config path.
        problems: one line is appended for each.
        also: further keys that may stand here and are checked elsewhere; offered as near misses.
    """
    known = [option.name for option in options]
    for key in given:
        if key not in known and key not in also:
            problems.append(f"{join(path, str(key))}: unknown key: {suggest(str(key), [*known, *also])}")
    checked = {}
    for option in options:
        where = join(path, option.name)
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
    """CheckedConfig values as the constructor takes them: lists as tuples, mappings as dataclasses."""
    return {option.name: option.type.construct(checked[option.name]) for option in options}


def join(path: str, key: str) -> str:
    """A dotted config path, one step deeper."""
    return f"{path}.{key}" if path else key


def _article(scalar: Scalar) -> str:
    words = {int: "an int", float: "a float", bool: "true or false", str: "a string"}
    return words[scalar.type]
