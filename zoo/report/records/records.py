"""Records of tasks, runs and studies, which reports are computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from zoo.checks import Refused, require
from zoo.report.records.learning_curves import read_curves
from zoo.runs.config_sections import Options
from zoo.runs.flat_configs import find_differing_keys, flatten_to_text
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_result import RunResult
from zoo.runs.run_start import RunFailure
from zoo.runs.state_files import read_config
from zoo.system.files import Damaged

_TOTALS = ("diverged", "steps", "tokens", "seconds", "energy_joules")

Record = TypeVar("Record")


@dataclass(frozen=True)
class Task:
    """A task that arms are trained on, and the metrics that they are compared by.

    Attributes:
        name: name of the task; in a study of several sizes, followed by the size.
        comparable: False if the losses of the arms measure different things, so that a ranking would be meaningless.
        metrics: names of metrics; verdicts are about the first, the primary metric.
        note: text for the reader of the report.
        margin: largest difference of the primary metric at which arms count as equal; in percentage points if the
            metric is a share.
        of: name of the task without the size.
        size: name of the size; empty in a study of one size.
    """

    name: str
    comparable: bool
    metrics: tuple[str, ...]
    note: str = ""
    margin: float | None = None
    of: str = ""
    size: str = ""


@dataclass(frozen=True)
class Run:
    """A training run: its config, its result if it has finished, and its learning curves.

    Attributes:
        arm: name of the arm.
        task: name of the task.
        seed: random seed.
        folder: folder of the run.
        config: content of ``config.yaml``, of this or another version; empty if it cannot be read.
        result: result; None if the run has not finished.
        failure: error that ended the run; None if it has not failed.
        curves: measurements of the run, one row per logged step.
        notes: problems with reading the folder.
        rate: learning rate, if the study tuned it.
        tuning: True for runs that only serve to choose a learning rate; tables leave them out.
        stale: True if the result was computed with a different version of the code or data.
    """

    arm: str
    task: str
    seed: int
    folder: Path
    config: Options
    result: RunResult | None
    failure: RunFailure | None
    curves: pl.DataFrame
    notes: tuple[str, ...] = ()
    rate: float | None = None
    tuning: bool = False
    stale: bool = False

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """The metrics of the result; empty if there is none."""
        return {} if self.result is None else self.result.metrics

    @property
    def metrics_by_length(self) -> Mapping[str, Mapping[str, float]]:
        """The metrics of the result by length; empty if there are none."""
        return {} if self.result is None else self.result.by_length

    @property
    def totals(self) -> dict[str, float | None]:
        """Totals of the training and costs of the model, by column; None for totals, and no costs, without a result."""
        totals = {name: None if self.result is None else getattr(self.result, name) for name in _TOTALS}
        costs = {} if self.result is None else self.result.cost
        return totals | {f"cost.{name}": value for name, value in costs.items()}

    @property
    def seconds(self) -> float:
        """Duration of the training; 0 if it is not known."""
        return 0.0 if self.result is None else self.result.seconds or 0.0

    @property
    def recorded_seed(self) -> int:
        """The seed in the recorded config; 0 if it has none."""
        return int(self.config.get("seed") or 0)

    def get_section(self, name: str) -> Options:
        """Returns a section of the recorded config; empty if there is none."""
        section = self.config.get(name)
        return section if isinstance(section, Mapping) else {}


@dataclass(frozen=True)
class Match:
    """A change to an arm that makes it cost as much as the baseline.

    Attributes:
        quantity: matched quantity, such as ``parameters``.
        knob: config key that was changed, such as ``model.hidden``.
        before: value of the key in the study file.
        after: value of the key in the runs.
        target: quantity of the baseline.
        reached: quantity of the arm after the change.
        why: reason for a remaining difference of more than 0.5 %; empty if there is none.
    """

    quantity: str
    knob: str
    before: float
    after: float
    target: float
    reached: float
    why: str = ""

    @property
    def mismatch(self) -> float:
        """Relative difference to the target; positive if the arm has more."""
        return self.reached / self.target - 1


@dataclass(frozen=True)
class Study:
    """A study: a question, the arms and tasks that answer it, and the command that reproduces it.

    Attributes:
        name: name of the study.
        question: question that the study answers.
        expected: answer that was expected before the runs.
        baseline: arm that others are compared with; None for a study without verdicts.
        arms: overrides of each arm by its name.
        tasks: tasks that the arms are trained on.
        not_applicable: arm, task and reason, where an arm cannot be trained on a task.
        command: shell command that reproduces the study.
        against: reference of an arm, where that is not the baseline.
        factors: levels of the two factors by arm, in a study of pairs; empty for the level of the baseline.
        matches: changes that match arms to the baseline, by arm and task.
        until_decided: True if seeds were added until each arm had a verdict, by the sequential rule.
        max_seeds: number of seeds at which adding seeds ends; 0 unless ``until_decided``.
    """

    name: str
    question: str
    expected: str
    baseline: str | None
    arms: Mapping[str, Mapping[str, Any]]
    tasks: tuple[Task, ...]
    not_applicable: tuple[tuple[str, str, str], ...] = ()
    command: str = ""
    against: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    matches: Mapping[tuple[str, str], Match] = field(default_factory=dict)
    until_decided: bool = False
    max_seeds: int = 0


def read_run(folder: Path, arm: str, task: str, seed: int) -> Run:
    """Reads the folder of a run in any state: planned (absent), running, killed, failed or done."""
    curves, notes = read_curves(folder / "metrics.csv")
    files = RunFolder(folder)
    result, result_notes = _read_if_valid(files.read_result)
    failure, failure_notes = _read_if_valid(files.read_failure) if result is None else (None, ())
    config, config_notes = _read_config(folder / "config.yaml")
    notes += result_notes + failure_notes + config_notes
    return Run(arm, task, seed, folder, config, result, failure, curves, notes)


def _read_if_valid(read: Callable[[], Record | None]) -> tuple[Record | None, tuple[str, ...]]:
    """Reads a file of a run; returns None and a note if it is damaged."""
    try:
        return read(), ()
    except Damaged as error:
        return None, (f"{error}; the run counts as unfinished",)


def _read_config(path: Path) -> tuple[Options, tuple[str, ...]]:
    """Reads the config of a run; returns an empty one and a note if it cannot be read."""
    try:
        values = read_config(path)
        seed = values.get("seed", 0)
        require(isinstance(seed, int) or seed is None, f"{path}: seed must be an integer: got {seed!r}")
    except Refused as error:
        return {}, (str(error),)
    return values, ()


def drop_stale_results(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs without stale results, unless all results are stale: old and new results are never mixed."""
    mixed = len({run.stale for run in runs if run.result is not None}) > 1
    return [replace(run, result=None, curves=pl.DataFrame()) if mixed and run.stale else run for run in runs]


def find_loss_differences(runs: Sequence[Run]) -> list[str]:
    """Returns the config keys of objective and data in which runs differ; if there are none, losses are comparable."""
    configs = [{key: run.config.get(key) for key in ("objective", "data")} for run in runs]
    return find_differing_keys(map(flatten_to_text, configs))
