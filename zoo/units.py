"""Amounts and times as a person reads them. A space before a unit does not break."""

from __future__ import annotations

import math

_NONE = "—"
_UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: float | None) -> str:
    """Three digits and a decimal prefix: ``1.23 M``."""
    if value is None or not math.isfinite(value):
        return _NONE
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(value) >= 0.9995 * size), (1.0, ""))
    scaled = value / size
    whole = size == 1 or abs(scaled) >= 99.95
    text = f"{scaled:.{0 if whole else 1 if abs(scaled) >= 9.995 else 2}f}"
    return f"{text}\N{NO-BREAK SPACE}{unit}".rstrip()


def measure(value: float | None, unit: str) -> str:
    """The same with a unit: ``1.23 MB``."""
    text = count(value)
    return text if text == _NONE else text + unit if text[-1].isalpha() else f"{text}\N{NO-BREAK SPACE}{unit}"


def is_apart(value: float | None, other: float | None) -> bool:
    """True if both numbers are known and differ by more than a percent of the second."""
    return value is not None and other is not None and abs(value - other) > 0.01 * abs(other)


def duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}\N{NO-BREAK SPACE}h {minutes}\N{NO-BREAK SPACE}min"
    return f"{minutes}\N{NO-BREAK SPACE}min {rest}\N{NO-BREAK SPACE}s" if minutes else f"{rest}\N{NO-BREAK SPACE}s"


def percent(share: float) -> str:
    """Three digits and a percent sign; a share above none is never written as none."""
    text = "under 0.001" if 0 < share < 0.00001 else f"{100 * share:.3g}"
    return f"{text}\N{NO-BREAK SPACE}%"
