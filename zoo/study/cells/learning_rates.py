"""The learning rate of an arm, chosen from runs that only serve this choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from zoo.checks import require
from zoo.report import Metric


@dataclass(frozen=True)
class Chosen:
    """A learning rate, None for the one that is configured; and what a reader should know of how it was found."""

    rate: float | None
    note: str = ""


def best(arm: str, tried: Mapping[float, Sequence[float]], metric: Metric) -> Chosen:
    """The rate of the best mean; of rates that are as good as each other the smallest.

    A rate of which fewer runs were lost goes before any of which more were.

    Args:
        arm: whose, for the note.
        tried: by rate, values of the metric; not finite for a run that diverged or failed.
        metric: tells what is better.

    Raises:
        Refused: if the name of the metric does not tell which way is better.
    """
    require(metric.goal is not None, f"learning_rates: a metric must tell which way is better: got {metric.name}")
    sign = 1 if metric.goal == "lower" else -1

    def order(rate: float) -> tuple[int, float, float]:
        finite = [value for value in tried[rate] if math.isfinite(value)]
        return len(tried[rate]) - len(finite), sign * fmean(finite) if finite else math.inf, rate

    rates = sorted(tried)
    rate = min(rates, key=order)
    if not any(map(math.isfinite, tried[rate])):
        listed = ", ".join(f"{each:g}" for each in rates)
        note = f"No run of {arm} at the learning rates {listed} has a value: its other runs use {rate:g}."
        return Chosen(rate, note)
    ends = {rates[0]: "smallest", rates[-1]: "largest"} if len(rates) > 1 else {}
    return Chosen(
        rate, f"The best learning rate of {arm}, {rate:g}, is the {ends[rate]} tried." if rate in ends else ""
    )
