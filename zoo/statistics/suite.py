"""One score for many tasks: the interquartile mean over runs and tasks, with a stratified bootstrap interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy

from zoo.checks import require
from zoo.statistics.interval import Interval


def interquartile_mean(scores: Mapping[str, Sequence[float]]) -> float:
    """The mean of the middle half of all runs on all tasks: a quarter of them, rounded down, goes on either side.

    Args:
        scores: by task, of its runs, finite and on one scale, such as shares of what is possible.
    """
    return float(scipy.stats.trim_mean(np.concatenate(_checked(scores)), 0.25))


def interquartile_interval(
    scores: Mapping[str, Sequence[float]], confidence: float = 0.95, resamples: int = 2000
) -> Interval:
    """The interquartile mean and its percentile interval, by resampling the runs of each task apart.

    Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", arXiv:2108.13264. The
    interval is of the luck of runs on these tasks; it says nothing of other tasks. ``count`` is that of all runs.

    Raises:
        Refused: if there is no task, a task has no run, or a score is not finite.
    """
    require(0 < confidence < 1, f"confidence must be between 0 and 1: got confidence={confidence}")
    generator, tasks = np.random.default_rng(0), _checked(scores)
    drawn = [task[generator.integers(task.size, size=(resamples, task.size))] for task in tasks]
    means = scipy.stats.trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(interquartile_mean(scores), float(low), float(high), sum(task.size for task in tasks))


def _checked(scores: Mapping[str, Sequence[float]]) -> list[np.ndarray]:
    require(len(scores) > 0, "scores must hold at least one task: got none")
    tasks = {name: np.asarray(runs, dtype=np.float64) for name, runs in scores.items()}
    for name, runs in tasks.items():
        require(runs.size > 0 and bool(np.isfinite(runs).all()), f"scores of {name!r} must be finite: got {list(runs)}")
    return list(tasks.values())
