"""One score an arm over all tasks: the interquartile mean of shares, such as exact match, over tasks and seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.report.claims.format import bounds, quantity
from zoo.report.claims.table import Row, Table
from zoo.report.claims.verdicts import listed
from zoo.report.records.metrics import Metric
from zoo.statistics import Interval, interquartile_interval

_SHARE = Metric("share", "higher", "share", percent=True)


@dataclass(frozen=True)
class Aggregate:
    """Scores over several tasks.

    Attributes:
        tasks: by name, the metric that is aggregated; all are shares of one.
        scores: by arm, the interquartile mean over the runs of all tasks, with its stratified bootstrap interval.
        left_out: arms that have no result on one of the tasks.
    """

    tasks: Mapping[str, str]
    scores: Mapping[str, Interval]
    left_out: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Who scores highest over all tasks, and whether its interval is apart from the others."""
        ranked = sorted(self.scores, key=lambda arm: -self.scores[arm].mean)
        first, rest = ranked[0], ranked[1:]
        close = [arm for arm in rest if self.scores[first].overlaps(self.scores[arm])]
        apart = f"though its interval overlaps with that of {listed(close)}" if close else "apart from all others"
        told = f"Over {len(self.tasks)} tasks together, {first} scores highest, {apart}: {self._score(first)}"
        behind = "; ".join(f"{arm} {self._score(arm)}" for arm in rest[:3])
        more = f"; and {len(rest) - 3} more" if len(rest) > 3 else ""
        return f"{told}. Behind it: {behind}{more}." if rest else f"{told}."

    @property
    def note(self) -> str:
        """How the scores came about."""
        metrics = ", ".join(f"{metric} on {task}" for task, metric in self.tasks.items())
        left = f" Not on all tasks, and left out: {', '.join(self.left_out)}." if self.left_out else ""
        return (
            f"Interquartile mean of all runs ({metrics}), with its 95\N{NO-BREAK SPACE}% bootstrap interval, "
            "stratified by task (Agarwal et al. 2021, arXiv:2108.13264). A run that diverged counts as 0. Intervals "
            "are of the luck of seeds on these tasks; they are not paired, and not corrected for the number of arms."
            f"{left}"
        )

    def _score(self, arm: str) -> str:
        interval = self.scores[arm]
        return f"{quantity(_SHARE, interval.mean)} ({bounds(_SHARE, interval)})"


def aggregate(tables: Sequence[Table]) -> Aggregate | None:
    """Scores over the tasks whose arms can be compared and whose first metric is a share; None for fewer than two."""
    fit = [
        table
        for table in tables
        if table.task.comparable and table.metrics and table.metrics[0].percent and any(map(_scores, table.rows))
    ]
    if len(fit) < 2:
        return None
    arms = dict.fromkeys(row.arm for table in fit for row in table.rows)
    of_arm = {
        arm: {
            table.task.name: scores
            for table in fit
            for row in table.rows
            if row.arm == arm and (scores := _scores(row))
        }
        for arm in arms
    }
    whole = {arm: scores for arm, scores in of_arm.items() if len(scores) == len(fit)}
    if not whole:
        return None
    return Aggregate(
        {table.task.name: table.metrics[0].label for table in fit},
        {arm: interquartile_interval(scores) for arm, scores in whole.items()},
        tuple(arm for arm in arms if arm not in whole),
    )


def _scores(row: Row) -> list[float]:
    return [value if math.isfinite(value) else 0.0 for value in row.outcomes.values()]
