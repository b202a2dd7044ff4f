"""Formats counts, quantities, durations and shares for people, with a no-break space before the unit."""

from __future__ import annotations

import math

_NONE = "—"
_UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def format_count(value: float | None) -> str:
    """Formats a number with three digits and a decimal prefix: ``1.23 M``."""
    if value is None or not math.isfinite(value):
        return _NONE
    size, unit = next(((size, unit) for size, unit in _UNITS if abs(value) >= 0.9995 * size), (1.0, ""))
    scaled = value / size
    whole = size == 1 or abs(scaled) >= 99.95
    text = f"{scaled:.{0 if whole else 1 if abs(scaled) >= 9.995 else 2}f}"
    return f"{text}\N{NO-BREAK SPACE}{unit}".rstrip()


def format_quantity(value: float | None, unit: str) -> str:
    """Formats a number like :func:`format_count` and appends a unit: ``1.23 MB``."""
    text = format_count(value)
    return text if text == _NONE else text + unit if text[-1].isalpha() else f"{text}\N{NO-BREAK SPACE}{unit}"


def is_different(value: float | None, other: float | None) -> bool:
    """True if both numbers are known and differ by more than one percent of ``other``."""
    return value is not None and other is not None and abs(value - other) > 0.01 * abs(other)


def format_duration(seconds: float) -> str:
    """Formats seconds as hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}\N{NO-BREAK SPACE}h {minutes}\N{NO-BREAK SPACE}min"
    return f"{minutes}\N{NO-BREAK SPACE}min {rest}\N{NO-BREAK SPACE}s" if minutes else f"{rest}\N{NO-BREAK SPACE}s"


def format_percent(share: float) -> str:
    """Formats a share with three digits and a percent sign; a positive share is never shown as 0 %."""
    text = "under 0.001" if 0 < share < 0.00001 else f"{100 * share:.3g}"
    return f"{text}\N{NO-BREAK SPACE}%"
