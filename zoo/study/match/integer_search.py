"""Search for the integer at which an increasing function comes closest to a target, with few evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_GAP = 256  # consecutive values without a quantity, after which the search ends


@dataclass(frozen=True)
class Point:
    """A value of the knob, and the quantity at this value."""

    value: int
    reached: float


def search_integer(
    measure: Callable[[int], float | None], start: int, most: int, target: float
) -> tuple[Point | None, Point | None]:
    """Searches for the neighboring values between which an increasing quantity reaches a target.

    Uses the secant method, since quantities are nearly linear in the knob, and bisection where it is slow.

    Args:
        measure: Returns the quantity at a value from 1 to ``most``; None where there is none.
        start: Value that has a quantity.
        most: Largest value.
        target: Quantity to reach.
    Returns:
        The last point below the target, and the first that is not; None for one that does not exist.
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
    """Finds the value closest to ``guess`` that has a quantity, strictly between ``bottom`` and ``top``."""
    for away in range(_GAP):
        for value in {guess - away, guess + away}:
            if bottom < value < top and (reached := measure(value)) is not None:
                return Point(value, reached)
        if guess - away <= bottom and guess + away >= top:
            break
    return None


def _intersect_secant(points: list[Point], target: float, most: int) -> float:
    """Returns the value at which the line through one or two points reaches the target; an end if it is flat."""
    *before, last = points
    value, reached = (before[0].value, before[0].reached) if before else (0, 0.0)
    if last.reached == reached:
        return most if reached < target else 1
    return last.value + (target - last.reached) * (last.value - value) / (last.reached - reached)
