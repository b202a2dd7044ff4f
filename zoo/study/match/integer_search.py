"""The integer at which a growing quantity comes nearest to a target, in few evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_GAP = 256  # values in a row that have no quantity, after which no others are looked for


@dataclass(frozen=True)
class Point:
    """A value of the knob, and the quantity there."""

    value: int
    reached: float


def search_integer(
    measure: Callable[[int], float | None], start: int, most: int, target: float
) -> tuple[Point | None, Point | None]:
    """The neighbors between which a growing quantity passes ``target``: the last below it, the first not below.

    By the secant through the last two points, as quantities are nearly straight in the knob; by halves where that is
    slow.

    Args:
        measure: the quantity at a value of 1 to ``most``; None where there is none.
        start: a value that has one.
        most: the largest value.
        target: what is sought.
    Returns:
        None for a neighbor that is not there.
    """
    low = high = None
    last: list[Point] = []
    guess, slow, bottom, top = start, 0, 0, most + 1
    while (point := _find_nearby(measure, guess, bottom, top)) is not None:
        gap = top - bottom
        if point.reached < target:
            low, bottom = point, point.value
        else:
            high, top = point, point.value
        last = [*last, point][-2:]
        slow = slow + 1 if low and high and 2 * (top - bottom) > gap else 0
        straight = _intersect_secant([low, high] if low and high else last, target, most)
        guess = (bottom + top) // 2 if slow > 1 else round(min(max(straight, bottom + 1), top - 1))
    return low, high


def _find_nearby(measure: Callable[[int], float | None], guess: int, bottom: int, top: int) -> Point | None:
    """The nearest value to ``guess``, between ``bottom`` and ``top`` and neither, that has a quantity."""
    for away in range(_GAP):
        for value in {guess - away, guess + away}:
            if bottom < value < top and (reached := measure(value)) is not None:
                return Point(value, reached)
        if guess - away <= bottom and guess + away >= top:
            break
    return None


def _intersect_secant(points: list[Point], target: float, most: int) -> float:
    """Where a straight line through one or two points reaches ``target``; far away where they do not differ."""
    *before, last = points
    value, reached = (before[0].value, before[0].reached) if before else (0, 0.0)
    if last.reached == reached:
        return most if reached < target else 1
    return last.value + (target - last.reached) * (last.value - value) / (last.reached - reached)
