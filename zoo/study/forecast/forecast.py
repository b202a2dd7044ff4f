"""Forecast of a study: number of runs and duration of a run, by arm and task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import joblib
import torch

from zoo.checks import Refused
from zoo.model.cost import Cost
from zoo.report.records.records import Match
from zoo.study.cells.cell_status import CellStatus, get_cell_status
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.known_cells import KnownCells
from zoo.study.cells.seed_counts import FIRST_SEEDS
from zoo.study.forecast.estimate_run_times import Estimate, estimate_run_times
from zoo.study.match.quantities import count_train_tokens, measure_cost
from zoo.study.plan.cell import Cell, Setting
from zoo.study.plan.study_plan import StudyPlan


@dataclass(frozen=True)
class ForecastRow:
    """An arm on a task.

    Attributes:
        setting: The arm on the task.
        found: Status of its runs that are known so far.
        least: Minimum number of runs, including those that try learning rates.
        most: Maximum number of runs.
        estimate: Estimate for one run; empty if all are done.
        match: Change that matches the arm to the baseline.
    """

    setting: Setting
    found: tuple[CellStatus[Cell], ...]
    least: int
    most: int
    estimate: Estimate
    match: Match | None

    @property
    def name(self) -> str:
        """Name of the row for messages."""
        return f"{self.setting.task} {self.setting.arm}"

    @property
    def costs(self) -> Cost:
        """Costs of the model."""
        return measure_cost(self.setting.checked)

    @property
    def done(self) -> int:
        """Number of finished runs."""
        return sum(each.state == "done" for each in self.found)


@dataclass(frozen=True)
class Forecast:
    """Forecast of all arms on all tasks."""

    rows: tuple[ForecastRow, ...]

    @property
    def runs(self) -> tuple[int, int]:
        """Minimum and maximum number of runs."""
        return sum(row.least for row in self.rows), sum(row.most for row in self.rows)

    @property
    def tokens(self) -> tuple[int, int]:
        """Minimum and maximum number of tokens that the remaining runs read, including padding."""
        each = [(count_train_tokens(row.setting.checked), row) for row in self.rows]
        return (
            sum(tokens * (row.least - row.done) for tokens, row in each),
            sum(tokens * (row.most - row.done) for tokens, row in each),
        )

    @property
    def seconds(self) -> tuple[float, float] | None:
        """Minimum and maximum duration of the remaining runs, in seconds; None if that of a run is unknown."""
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
        """Number of runs that this machine runs at a time: one on a GPU, else the cores divided by threads per run."""
        configs = [row.setting.checked.config for row in self.rows]
        if torch.cuda.is_available() and any(config.trainer.arguments["accelerator"] != "cpu" for config in configs):
            return 1
        cores: int = joblib.cpu_count()
        return max(1, cores // max((config.threads or cores for config in configs), default=cores))


def forecast_study(
    plan: StudyPlan, expansion: Expansion, known: KnownCells, report: Callable[[str], None] = lambda line: None
) -> Forecast:
    """Forecasts the runs of a study: reads the status of known runs, and takes a few steps of missing ones.

    Args:
        plan: Plan of the study.
        expansion: Arms of the study on its tasks.
        known: Runs that are known so far.
        report: Called with the name of a setting before it is measured.

    Raises:
        Refused: If the data cannot be prepared, or a model cannot be built for them.
    """
    _require_costs(expansion.settings)
    found: dict[tuple[str, str], list[CellStatus[Cell]]] = {}
    for each in map(get_cell_status, known.cells):
        found.setdefault((each.cell.arm, each.cell.task), []).append(each)
    rows = list(_list_rows(plan, expansion, bool(known.more), found))
    undone = [row.setting for row in rows if row.done < row.most]
    estimates = estimate_run_times(undone, report)
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
    """Lists the rows without estimates."""
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
    """Refuses the study if the data of a setting cannot be prepared, or its model cannot be built for them."""
    problems = []
    for setting in settings:
        try:
            measure_cost(setting.checked)
        except Refused as error:
            problems += [f"{setting.task} {setting.arm}: {line}" for line in str(error).splitlines()]
    if problems:
        raise Refused("\n".join(problems))
