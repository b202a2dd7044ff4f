"""Learning-rate schedules: functions from the step, counted from 0, to a factor of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable

from zoo.checks import require_between, require_positive

Schedule = Callable[[int], float]


def cosine(steps: int, warmup: float, floor: float) -> Schedule:
    """Linear warm-up, then cosine decay from 1 to ``floor`` (Loshchilov and Hutter 2017, arXiv:1608.03983).

    Args:
        steps: total number of steps.
        warmup: share of the steps with warm-up, from 0 to 1.
        floor: final factor, from 0 to 1.
    """
    begin = _count_warmup_steps(steps, warmup)
    require_between("schedule.floor", floor, 0.0, 1.0)

    def factor(step: int) -> float:
        done = min(1.0, max(0, step - begin) / max(1, steps - begin))
        return _warm_up(step, begin) * (floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2)

    return factor


def inverse_sqrt(steps: int, warmup: float) -> Schedule:
    """Linear warm-up to 1, then √(warm-up steps / step) (Vaswani et al. 2017, section 5.3, scaled to a peak of 1).

    Args:
        steps: total number of steps.
        warmup: share of the steps with warm-up, from 0 to 1.
    """
    begin = max(1, _count_warmup_steps(steps, warmup))

    def factor(step: int) -> float:
        return min((step + 1) / begin, math.sqrt(begin / (step + 1)))

    return factor


def warmup_stable_decay(steps: int, warmup: float, decay: float, floor: float) -> Schedule:
    """Linear warm-up, constant, then linear decay to ``floor`` (Hu et al. 2024, arXiv:2404.06395).

    Args:
        steps: total number of steps.
        warmup: share of the steps with warm-up, from 0 to 1.
        decay: share of the steps with decay, from 0 to 1.
        floor: final factor, from 0 to 1.
    """
    begin = _count_warmup_steps(steps, warmup)
    require_between("schedule.decay", decay, 0.0, 1.0)
    require_between("schedule.floor", floor, 0.0, 1.0)
    last = max(1, round(decay * steps))

    def factor(step: int) -> float:
        left = min(1.0, max(0, steps - step) / last)
        return _warm_up(step, begin) * (floor + (1 - floor) * left)

    return factor


def constant(steps: int, warmup: float) -> Schedule:
    """Linear warm-up, then 1.

    Args:
        steps: total number of steps.
        warmup: share of the steps with warm-up, from 0 to 1.
    """
    begin = _count_warmup_steps(steps, warmup)

    def factor(step: int) -> float:
        return _warm_up(step, begin)

    return factor


def _count_warmup_steps(steps: int, warmup: float) -> int:
    require_positive("schedule.steps", steps)
    require_between("schedule.warmup", warmup, 0.0, 1.0)
    return round(warmup * steps)


def _warm_up(step: int, begin: int) -> float:
    return min(1.0, (step + 1) / (begin + 1))
