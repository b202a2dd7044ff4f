"""Argument checks whose messages share one form: the name, the rule, and the value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Incompatibility(str):
    """A problem of two choices that are incompatible, although each is valid in other combinations."""

    __slots__ = ()


class Refused(ValueError):
    """The error for a request that cannot be fulfilled.

    The message names the argument, the rule and the value in terms that the user knows; commands print it without a
    traceback.
    """


def require(condition: bool, message: str) -> None:
    """Raise :class:`Refused` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise Refused(message)


def require_divides(divisor: str, divisor_value: int, name: str, value: int) -> None:
    """Raise :class:`Refused` unless ``divisor_value`` is positive and divides ``value``."""
    if divisor_value < 1 or value % divisor_value:
        raise Refused(f"{divisor} must divide {name}: got {divisor}={divisor_value}, {name}={value}")


def require_positive(name: str, value: float) -> None:
    """Raise :class:`Refused` unless ``value`` is greater than zero."""
    if not value > 0:
        raise Refused(f"{name} must be positive: got {name}={value}")


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Raise :class:`Refused` unless ``low <= value <= high``."""
    if not low <= value <= high:
        raise Refused(f"{name} must be between {low} and {high}: got {name}={value}")


def require_multiple_features(name: str, value: int) -> None:
    """Raise :class:`Refused` for fewer than two features: normalizing a single feature keeps only its sign."""
    require(value > 1, f"{name} must be at least 2, since normalizing one feature keeps only its sign: got {value}")


def require_even(name: str, value: int) -> None:
    """Raise :class:`Refused` unless ``value`` is even."""
    if value % 2:
        raise Refused(f"{name} must be even: got {name}={value}")


def find_typo(wrong: str, choices: Iterable[str]) -> str | None:
    """Returns the choice that is a typing error away: one edit, or two in a name of twelve characters or more.

    An edit inserts, removes or replaces a character, or swaps two that are next to each other.
    """
    most = 1 if len(wrong) < 12 else 2
    near = [(distance, name) for name in choices if 0 < (distance := _edits(wrong, name)) <= most]
    return min(near)[1] if near else None


def _edits(one: str, other: str) -> int:
    """Computes the optimal string alignment distance, row by row of the table of prefixes."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b)))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], earlier[j - 2] + 1)
    return row[-1]


def suggest(wrong: str, choices: Iterable[str]) -> str:
    """Returns the end of an error message: the closest match, if there is one, and all choices."""
    ordered = sorted(choices)
    if not ordered:
        return "there are no choices"
    close = difflib.get_close_matches(wrong, ordered, n=1)
    near = f"did you mean {close[0]}? " if close else ""
    return f"{near}choices: {', '.join(ordered)}"
