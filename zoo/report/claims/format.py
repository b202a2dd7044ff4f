"""Values of metrics as a person reads them. A space before a unit does not break."""

from __future__ import annotations

import math
from dataclasses import replace

from zoo.report.records.metrics import Metric
from zoo.statistics import Interval

_NONE = "—"


def quantity(metric: Metric, value: float, unit: bool = True) -> str:
    """A value of a metric: percent with one decimal, else four digits."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else _minus("inf" if value > 0 else "-inf")
    text = _minus(_decimal(metric, value, value))
    return f"{text}\N{NO-BREAK SPACE}%" if metric.percent and unit else text


def with_spread(metric: Metric, interval: Interval | None, unit: bool = True) -> str:
    """``mean ± half-width``, or the mean alone where there is no interval."""
    if interval is None:
        return _NONE
    half = interval.half_width if interval.known else 0.0
    mean = _minus(_decimal(metric, interval.mean, interval.mean, half))
    spread = f" ± {_decimal(metric, half, interval.mean, half)}" if interval.known else ""
    return f"{mean}{spread}" + ("\N{NO-BREAK SPACE}%" if metric.percent and unit else "")


def bounds(metric: Metric, interval: Interval) -> str:
    """``93.0 to 99.2``; a share is cut at 0 and 1, which it cannot leave."""
    low, high = reach(metric, interval)
    return f"{_minus(_decimal(metric, low, interval.mean))} to {_minus(_decimal(metric, high, interval.mean))}"


def reach(metric: Metric, interval: Interval) -> tuple[float, float]:
    """The bounds of an interval as far as the metric can reach them."""
    return (max(0.0, interval.low), min(1.0, interval.high)) if metric.percent else (interval.low, interval.high)


def difference(metric: Metric, interval: Interval | None) -> str:
    """A signed difference with its half-width; of shares, in points of a percent."""
    if interval is None:
        return _NONE
    sign = "+" if interval.mean > 0 else ""
    finest = max(abs(interval.mean), interval.half_width if interval.known else 0.0)
    text = f"{sign}{_minus(_decimal(metric, interval.mean, finest))}"
    return text + (f" ± {_decimal(metric, interval.half_width, finest)}" if interval.known else "")


def size(metric: Metric, interval: Interval) -> str:
    """A difference without its sign, with its half-width; of shares, in points of a percent."""
    return difference(metric, replace(interval, mean=abs(interval.mean))).removeprefix("+")


def amount(metric: Metric, value: float) -> str:
    """The size of a difference in two digits; of shares, in points of a percent."""
    if not math.isfinite(value):
        return _NONE
    scaled = 100 * abs(value) if metric.percent else abs(value)
    decimals = min(8, max(0, 1 - math.floor(math.log10(scaled)))) if scaled else 0
    text = f"{scaled:,.{decimals}f}"
    return f"{text}\N{NO-BREAK SPACE}{'point' if text == '1' else 'points'}" if metric.percent else text


def probability(value: float) -> str:
    """A p-value: two digits, and no more than three decimals."""
    if math.isnan(value):
        return _NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"


def chance(value: float) -> str:
    """A probability in whole percent, never certain."""
    text = "under 1" if value < 0.01 else "over 99" if value > 0.99 else f"{100 * value:.0f}"
    return f"{text}\N{NO-BREAK SPACE}%"


def _decimal(metric: Metric, value: float, scale: float, least: float = 0.0) -> str:
    """``value`` with the decimals that suit ``scale``, and enough for ``least`` not to vanish; percent with one."""
    if metric.percent:
        return f"{100 * value:.1f}"
    decimals = _decimals(scale) if scale else 3
    if least:
        decimals = max(decimals, min(5, -math.floor(math.log10(least))))
    return f"{value:,.{decimals}f}"


def _decimals(scale: float) -> int:
    """Four digits from one on, three below, and at most five decimals."""
    exponent = math.floor(math.log10(abs(scale)))
    return min(5, max(0, 3 - exponent if exponent >= 0 else 2 - exponent))


def _minus(text: str) -> str:
    return text.replace("-", "−")
