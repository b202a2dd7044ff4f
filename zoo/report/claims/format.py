"""Formats of metric values in reports. Spaces before units are non-breaking."""

from __future__ import annotations

import math
from dataclasses import replace

from zoo.report.records.metrics import Metric
from zoo.statistics import Interval

_NONE = "—"


def format_metric(metric: Metric, value: float, unit: bool = True) -> str:
    """Formats a value of a metric: percent with one decimal, otherwise four digits."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else _replace_minus("inf" if value > 0 else "-inf")
    text = _replace_minus(_format_decimal(metric, value, value))
    return f"{text}\N{NO-BREAK SPACE}%" if metric.percent and unit else text


def format_mean(metric: Metric, interval: Interval | None, unit: bool = True) -> str:
    """Formats ``mean ± half-width``, or the mean alone if there is no interval."""
    if interval is None:
        return _NONE
    half = interval.half_width if interval.known else 0.0
    mean = _replace_minus(_format_decimal(metric, interval.mean, interval.mean, half))
    spread = f" ± {_format_decimal(metric, half, interval.mean, half)}" if interval.known else ""
    return f"{mean}{spread}" + ("\N{NO-BREAK SPACE}%" if metric.percent and unit else "")


def format_bounds(metric: Metric, interval: Interval) -> str:
    """Formats the bounds of an interval as ``93.0 to 99.2``, clipped to the range of the metric."""
    ends = (_format_decimal(metric, end, interval.mean) for end in clip_interval(metric, interval))
    return " to ".join(map(_replace_minus, ends))


def clip_interval(metric: Metric, interval: Interval) -> tuple[float, float]:
    """Returns the bounds of an interval, for a share clipped to the range from 0 to 1."""
    return (max(0.0, interval.low), min(1.0, interval.high)) if metric.percent else (interval.low, interval.high)


def format_difference(metric: Metric, interval: Interval | None) -> str:
    """Formats a signed difference with its half-width; differences of shares are in percentage points."""
    if interval is None:
        return _NONE
    sign = "+" if interval.mean > 0 else ""
    finest = max(abs(interval.mean), interval.half_width if interval.known else 0.0)
    text = f"{sign}{_replace_minus(_format_decimal(metric, interval.mean, finest))}"
    return text + (f" ± {_format_decimal(metric, interval.half_width, finest)}" if interval.known else "")


def format_size(metric: Metric, interval: Interval) -> str:
    """Formats the absolute difference with its half-width; differences of shares are in percentage points."""
    return format_difference(metric, replace(interval, mean=abs(interval.mean))).removeprefix("+")


def format_amount(metric: Metric, value: float) -> str:
    """Formats the absolute value of a difference with two digits; of shares, in percentage points."""
    if not math.isfinite(value):
        return _NONE
    scaled = 100 * abs(value) if metric.percent else abs(value)
    decimals = min(8, max(0, 1 - math.floor(math.log10(scaled)))) if scaled else 0
    text = f"{scaled:,.{decimals}f}"
    return f"{text}\N{NO-BREAK SPACE}{'point' if text == '1' else 'points'}" if metric.percent else text


def format_probability(value: float) -> str:
    """Formats a p-value with two digits and at most three decimals."""
    if math.isnan(value):
        return _NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"


def format_mismatch(share: float) -> str:
    """Formats a relative difference as a signed percentage: ``−0.40 %``."""
    percent = f"{_format_percentage(share)}\N{NO-BREAK SPACE}%"
    return f"{'+' if share > 0 else '−'}{percent}" if share else "±0"


def describe_mismatch(share: float) -> str:
    """Describes a relative difference as ``0.40 % less``."""
    return f"{_format_percentage(share)}\N{NO-BREAK SPACE}% {'more' if share > 0 else 'less'}"


def _format_percentage(share: float) -> str:
    percent = 100 * abs(share)
    return f"{percent:,.{0 if percent >= 9.95 else 1 if percent >= 0.995 else 2}f}"


def format_chance(value: float) -> str:
    """Formats a probability in whole percent, never as 0 or 100 %."""
    text = "under 1" if value < 0.01 else "over 99" if value > 0.99 else f"{100 * value:.0f}"
    return f"{text}\N{NO-BREAK SPACE}%"


def _format_decimal(metric: Metric, value: float, scale: float, least: float = 0.0) -> str:
    """Formats ``value`` with the decimals that suit ``scale``, and enough of them for ``least`` not to be 0."""
    if metric.percent:
        return f"{100 * value:.1f}"
    decimals = _count_decimals(scale) if scale else 3
    if least:
        decimals = max(decimals, min(5, -math.floor(math.log10(least))))
    return f"{value:,.{decimals}f}"


def _count_decimals(scale: float) -> int:
    """Returns the decimals for four digits from 1 on and three below, at most five."""
    exponent = math.floor(math.log10(abs(scale)))
    return min(5, max(0, 3 - exponent if exponent >= 0 else 2 - exponent))


def _replace_minus(text: str) -> str:
    return text.replace("-", "−")
