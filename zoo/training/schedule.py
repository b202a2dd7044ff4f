"""Learning-rate schedules: factors of the optimiser's rate, as functions of the step (from 0)."""

from __future__ import annotations

import math
from collections.abc import Callable

from zoo.checks import require_between, require_positive

Schedule = Callable[[int], float]


def cosine(steps: int, warmup: float, floor: float) -> Schedule:
    """Linear warm-up, then half a cosine from 1 down to ``floor`` (Loshchilov and Hutter 2017, arXiv:1608.03983)."""
    begin = _warmup_steps(steps, warmup)
    require_between("schedule.floor", floor, 0.0, 1.0)

    def factor(step: int) -> float:
        done = min(1.0, max(0, step - begin) / max(1, steps - begin))
        return _rise(step, begin) * (floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2)

    return factor


def inverse_sqrt(steps: int, warmup: float) -> Schedule:
    """Linear warm-up, then √(warmup / step) (Vaswani et al. 2017, section 5.3, with its peak as the rate)."""
    begin = max(1, _warmup_steps(steps, warmup))

    def factor(step: int) -> float:
        return min((step + 1) / begin, math.sqrt(begin / (step + 1)))

    return factor


def warmup_stable_decay(steps: int, warmup: float, decay: float, floor: float) -> Schedule:
    """Linear warm-up, constant, then linear decay to ``floor`` (Hu et al. 2024, arXiv:2404.06395)."""
    begin = _warmup_steps(steps, warmup)
    require_between("schedule.decay", decay, 0.0, 1.0)
    require_between("schedule.floor", floor, 0.0, 1.0)
    last = max(1, round(decay * steps))

    def factor(step: int) -> float:
        left = min(1.0, max(0, steps - step) / last)
        return _rise(step, begin) * (floor + (1 - floor) * left)

    return factor


def constant(steps: int, warmup: float) -> Schedule:
    """Linear warm-up, then 1."""
    begin = _warmup_steps(steps, warmup)

    def factor(step: int) -> float:
        return _rise(step, begin)

    return factor


def _warmup_steps(steps: int, warmup: float) -> int:
    require_positive("schedule.steps", steps)
    require_between("schedule.warmup", warmup, 0.0, 1.0)
    return round(warmup * steps)


def _rise(step: int, begin: int) -> float:
    return min(1.0, (step + 1) / (begin + 1))
