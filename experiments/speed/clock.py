"""Times of several sides in turn, A B A B, so that whatever else the machine does meets all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WARM_UP = 0.5  # seconds; at least one call, at most three
CHUNK = 0.1  # seconds that one sample takes at least


@dataclass(frozen=True)
class Settings:
    """How often to measure, and by which clock.

    Args:
        rounds: samples of each side.
        threads: threads of PyTorch.
        is_quick: whether the smallest cases are enough.
    """

    rounds: int = 10
    threads: int = 1
    is_quick: bool = False

    def read_clock(self) -> float:
        """Reads the clock in seconds: CPU time of this process with one thread, else the time of day.

        CPU time leaves out what other processes take; of several threads it would be the sum.
        """
        return time.process_time() if self.threads == 1 else time.perf_counter()


def run_in_turn(sides: Mapping[str, Callable[[], object]], settings: Settings) -> dict[str, list[float]]:
    """Calls the sides in turn, and returns the seconds of a call of each, one for each round.

    Short calls are repeated within a sample until it takes a tenth of a second.
    """
    repeats = {name: _find_repeats(side, settings) for name, side in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    gc.collect()
    for _ in range(settings.rounds):
        for name, side in sides.items():
            begun = settings.read_clock()
            for _ in range(repeats[name]):
                side()
            seconds[name].append((settings.read_clock() - begun) / repeats[name])
    return seconds


def _find_repeats(side: Callable[[], object], settings: Settings) -> int:
    """Warms a side up, and returns how often a sample calls it."""
    first = settings.read_clock()
    for _ in range(3):
        begun = settings.read_clock()
        side()
        ended = settings.read_clock()
        if ended - first > WARM_UP:
            break
    return max(1, round(CHUNK / max(ended - begun, 1e-6)))


def compute_quartiles(values: Sequence[float]) -> list[float]:
    """Returns the lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return [values[0]] * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def compute_ratios(seconds: Sequence[float], others: Sequence[float]) -> list[float]:
    """Returns the quartiles of the ratio of two sides within a round."""
    return compute_quartiles([one / other for one, other in zip(seconds, others, strict=True)])


def find_fastest(seconds: Mapping[str, Sequence[float]], among: Sequence[str]) -> str | None:
    """Returns the side with the smallest median among some; None if none was measured."""
    found = {name: statistics.median(seconds[name]) for name in among if name in seconds}
    return min(found, key=lambda name: found[name], default=None)
