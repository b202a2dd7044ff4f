"""Aggregate scores: the interquartile mean of a share, such as exact match, over tasks and seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.report.claims.format import format_bounds, format_metric
from zoo.report.claims.table import Row, Table
from zoo.report.claims.verdicts import join_names
from zoo.report.records.metrics import Metric
from zoo.statistics import Interval, compute_interquartile_interval

_SHARE = Metric("share", "higher", "share", percent=True)


@dataclass(frozen=True)
class Aggregate:
    """Scores over several tasks.

    Attributes:
        tasks: aggregated metric by task; all metrics are shares.
        scores: interquartile mean over the runs of all tasks, with its stratified bootstrap interval, by arm.
        left_out: arms without a result on some task.
    """

    tasks: Mapping[str, str]
    scores: Mapping[str, Interval]
    left_out: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Names the arm with the highest score and the arms whose intervals overlap with its own."""
        ranked = sorted(self.scores, key=lambda arm: -self.scores[arm].mean)
        first, rest = ranked[0], ranked[1:]
        close = [arm for arm in rest if self.scores[first].overlaps(self.scores[arm])]
        lead = f"Aggregated over {len(self.tasks)} tasks, {first} has"
        if not rest:
            return f"{lead} a score of {self._format_score(first)}."
        whose = "that" if len(close) == 1 else "those"
        overlap = f"but its interval overlaps with {whose} of {join_names(close)}" if close else None
        certainty = overlap or "and its interval overlaps with no other"
        others = "; ".join(f"{arm} {self._format_score(arm)}" for arm in rest[:3])
        more = f"; and {len(rest) - 3} more" if len(rest) > 3 else ""
        return f"{lead} the highest score, {certainty}: {self._format_score(first)}. Others: {others}{more}."

    @property
    def note(self) -> str:
        """Describes how the scores are computed."""
        metrics = ", ".join(f"{metric} on {task}" for task, metric in self.tasks.items())
        left = f" Arms without results on all tasks are left out: {', '.join(self.left_out)}." if self.left_out else ""
        return (
            f"Interquartile mean over all runs ({metrics}), with its 95\N{NO-BREAK SPACE}% bootstrap confidence "
            "interval, stratified by task (Agarwal et al. 2021, arXiv:2108.13264). Diverged runs count as 0. The "
            "intervals reflect variation over seeds on these tasks; they are neither paired nor corrected for the "
            "number of arms."
            f"{left}"
        )

    def _format_score(self, arm: str) -> str:
        interval = self.scores[arm]
        return f"{format_metric(_SHARE, interval.mean)} ({format_bounds(_SHARE, interval)})"


def aggregate(tables: Sequence[Table]) -> Aggregate | None:
    """Aggregates over comparable tasks whose primary metric is a share; None for fewer than two such tasks."""
    fit = [
        table
        for table in tables
        if table.task.comparable and table.metrics and table.metrics[0].percent and any(map(_get_scores, table.rows))
    ]
    if len(fit) < 2:
        return None
    arms = dict.fromkeys(row.arm for table in fit for row in table.rows)
    of_arm = {
        arm: {
            table.task.name: scores
            for table in fit
            for row in table.rows
            if row.arm == arm and (scores := _get_scores(row))
        }
        for arm in arms
    }
    whole = {arm: scores for arm, scores in of_arm.items() if len(scores) == len(fit)}
    if not whole:
        return None
    return Aggregate(
        {table.task.name: table.metrics[0].label for table in fit},
        {arm: compute_interquartile_interval(scores) for arm, scores in whole.items()},
        tuple(arm for arm in arms if arm not in whole),
    )


def _get_scores(row: Row) -> list[float]:
    return [value if math.isfinite(value) else 0.0 for value in row.outcomes.values()]
