"""A single score for many tasks: the interquartile mean over runs and tasks, with a stratified bootstrap interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy

from zoo.checks import require
from zoo.statistics.interval import Interval


def compute_interquartile_mean(scores: Mapping[str, Sequence[float]]) -> float:
    """Computes the mean of all runs on all tasks after trimming a quarter of them, rounded down, at either end.

    Args:
        scores: Finite scores of the runs of each task, all on the same scale.
    """
    return float(scipy.stats.trim_mean(np.concatenate(_check_scores(scores)), 0.25))


def compute_interquartile_interval(
    scores: Mapping[str, Sequence[float]], confidence: float = 0.95, resamples: int = 2000
) -> Interval:
    """Computes the interquartile mean and its percentile interval by a bootstrap stratified by task.

    Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", arXiv:2108.13264. The
    interval covers the variation between runs on these tasks, not between tasks. ``count`` is the number of runs.

    Raises:
        Refused: if there is no task, a task has no run, or a score is not finite.
    """
    require(0 < confidence < 1, f"confidence must be between 0 and 1: got confidence={confidence}")
    generator, tasks = np.random.default_rng(0), _check_scores(scores)
    drawn = [task[generator.integers(task.size, size=(resamples, task.size))] for task in tasks]
    means = scipy.stats.trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(compute_interquartile_mean(scores), float(low), float(high), sum(task.size for task in tasks))


def _check_scores(scores: Mapping[str, Sequence[float]]) -> list[np.ndarray]:
    require(len(scores) > 0, "scores must hold at least one task: got none")
    tasks = {name: np.asarray(runs, dtype=np.float64) for name, runs in scores.items()}
    for name, runs in tasks.items():
        require(runs.size > 0 and bool(np.isfinite(runs).all()), f"scores of {name!r} must be finite: got {list(runs)}")
    return list(tasks.values())
