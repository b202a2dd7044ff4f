"""What a study will take: by arm and task, the runs that are to be made, and the seconds of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import joblib
import torch

from zoo.checks import Refused
from zoo.model.cost import Cost
from zoo.report.records.records import Match
from zoo.study.cells.cell_status import CellStatus, get_cell_status
from zoo.study.cells.expand_plan import Expansion
from zoo.study.cells.known_cells import KnownCells
from zoo.study.cells.seed_counts import FIRST_SEEDS
from zoo.study.forecast.estimate_run_times import Estimate, estimate_run_times
from zoo.study.match.quantities import count_train_tokens, measure_cost
from zoo.study.plan.cell import Cell, Setting
from zoo.study.plan.study_file import StudyPlan


@dataclass(frozen=True)
class ForecastRow:
    """An arm on a task.

    Attributes:
        found: its runs, as far as they are known.
        least: runs that there will be at least, those that try learning rates included.
        most: runs that there may be.
        estimate: of one of them; none where all are done.
        match: for matching.
    """

    setting: Setting
    found: tuple[CellStatus[Cell], ...]
    least: int
    most: int
    estimate: Estimate
    match: Match | None

    @property
    def name(self) -> str:
        """Names the row in lines."""
        return f"{self.setting.task} {self.setting.arm}"

    @property
    def costs(self) -> Cost:
        """Of its model."""
        return measure_cost(self.setting.checked)

    @property
    def done(self) -> int:
        """Runs that are."""
        return sum(each.state == "done" for each in self.found)


@dataclass(frozen=True)
class Forecast:
    """All arms on all tasks."""

    rows: tuple[ForecastRow, ...]

    @property
    def runs(self) -> tuple[int, int]:
        """At least, and at most."""
        return sum(row.least for row in self.rows), sum(row.most for row in self.rows)

    @property
    def tokens(self) -> tuple[int, int]:
        """That the runs that are to be made read, padding included; at least, and at most."""
        each = [(count_train_tokens(row.setting.checked), row) for row in self.rows]
        return (
            sum(tokens * (row.least - row.done) for tokens, row in each),
            sum(tokens * (row.most - row.done) for tokens, row in each),
        )

    @property
    def seconds(self) -> tuple[float, float] | None:
        """For the runs that are to be made, at least and at most; None if the time of one is not known."""
        rows = [row for row in self.rows if row.most > row.done]
        known = [(row.estimate.seconds, row) for row in rows if row.estimate.seconds is not None]
        if len(known) < len(rows) or not rows:
            return None
        longest = max(seconds for seconds, _ in known)
        least = sum(seconds * (row.least - row.done) for seconds, row in known) / self.workers
        most = sum(seconds * (row.most - row.done) for seconds, row in known) / self.workers
        return max(least, longest), max(most, longest)

    @property
    def workers(self) -> int:
        """Runs that one machine has going at a time: of a GPU one, else as many as have their threads each a core."""
        configs = [row.setting.checked.config for row in self.rows]
        if torch.cuda.is_available() and any(config.trainer.arguments["accelerator"] != "cpu" for config in configs):
            return 1
        cores: int = joblib.cpu_count()
        return max(1, cores // max((config.threads or cores for config in configs), default=cores))


def forecast_study(
    plan: StudyPlan, expansion: Expansion, rounds: KnownCells, tell: Callable[[str], None] = lambda line: None
) -> Forecast:
    """Look at what is there, and take a few steps of what is not.

    Args:
        plan: of the study.
        expansion: its arms on its tasks.
        rounds: its runs, as far as they are known.
        tell: is told what is being measured.

    Raises:
        Refused: for what is wrong with the data, or with a model that is to be made for them.
    """
    _require_costs(expansion.settings)
    found: dict[tuple[str, str], list[CellStatus[Cell]]] = {}
    for each in map(get_cell_status, rounds.cells):
        found.setdefault((each.cell.arm, each.cell.task), []).append(each)
    rows = list(_list_rows(plan, expansion, bool(rounds.more), found))
    undone = [row.setting for row in rows if row.done < row.most]
    estimates = estimate_run_times(undone, tell)
    return Forecast(
        tuple(
            ForecastRow(
                row.setting,
                row.found,
                row.least,
                row.most,
                estimates.get(_get_key(row.setting), row.estimate),
                row.match,
            )
            for row in rows
        )
    )


def _get_key(setting: Setting) -> tuple[str, str]:
    return setting.arm, setting.task


def _list_rows(
    plan: StudyPlan, expansion: Expansion, more: bool, found: dict[tuple[str, str], list[CellStatus[Cell]]]
) -> Iterator[ForecastRow]:
    """Without estimates."""
    for setting in expansion.settings:
        here = tuple(found.get(_get_key(setting), ()))
        seeds = sum(seed not in setting.left_out for seed in plan.seeds)
        tuning = [] if plan.rates is None else [seed for seed in plan.rates.seeds if seed not in setting.left_out]
        tries = 0 if plan.rates is None else len(plan.rates.values) * len(tuning)
        first = min(FIRST_SEEDS, seeds) if plan.until_decided else seeds
        least = max(tries + first, len(here))
        most = tries + seeds if plan.until_decided and more else least
        yield ForecastRow(setting, here, least, most, Estimate(None), expansion.matches.get(_get_key(setting)))


def _require_costs(settings: Sequence[Setting]) -> None:
    """Refuse with what is wrong with the data of all settings, or with their models for these data."""
    problems = []
    for setting in settings:
        try:
            measure_cost(setting.checked)
        except Refused as error:
            problems += [f"{setting.task} {setting.arm}: {line}" for line in str(error).splitlines()]
    if problems:
        raise Refused("\n".join(problems))
