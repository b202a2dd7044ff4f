"""Argument errors that all read alike: the name, the rule, the value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Unfit(str):
    """A problem of things that do not go together, each of which would do with others."""

    __slots__ = ()


class Refused(ValueError):
    """What was asked for cannot be done.

    The message says which name, which rule and which value, in words for the person who asked;
    a command prints it without a traceback.
    """


def require(condition: bool, message: str) -> None:
    """Refuse with ``message`` unless ``condition`` holds."""
    if not condition:
        raise Refused(message)


def require_divides(divisor: str, divisor_value: int, name: str, value: int) -> None:
    """Refuse unless ``divisor_value`` is positive and divides ``value``."""
    if divisor_value < 1 or value % divisor_value:
        raise Refused(f"{divisor} must divide {name}: got {divisor}={divisor_value}, {name}={value}")


def require_positive(name: str, value: float) -> None:
    """Refuse unless ``value`` is greater than zero."""
    if not value > 0:
        raise Refused(f"{name} must be positive: got {name}={value}")


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Refuse unless ``low <= value <= high``."""
    if not low <= value <= high:
        raise Refused(f"{name} must be between {low} and {high}: got {name}={value}")


def require_several(name: str, value: int) -> None:
    """Refuse fewer than two features: what brings features to a common size leaves of one no more than its sign."""
    require(value > 1, f"{name} must be at least 2, for of one feature a norm leaves its sign: got {name}={value}")


def require_even(name: str, value: int) -> None:
    """Refuse unless ``value`` is even."""
    if value % 2:
        raise Refused(f"{name} must be even: got {name}={value}")


def suggest(wrong: str, choices: Iterable[str]) -> str:
    """The near miss, if there is one, and all choices, as the tail of a message."""
    ordered = sorted(choices)
    if not ordered:
        return "there is nothing to choose"
    close = difflib.get_close_matches(wrong, ordered, n=1)
    near = f"did you mean {close[0]}? " if close else ""
    return f"{near}choices: {', '.join(ordered)}"
