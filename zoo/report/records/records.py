"""Records of tasks, runs and studies, which reports are computed from."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from zoo.checks import Refused, require, suggest
from zoo.report.records.flat_configs import ABSENT, find_differing_keys, flatten_to_text, shorten_keys
from zoo.report.records.learning_curves import list_metrics, read_curves
from zoo.report.records.metrics import SENSITIVE_METRICS
from zoo.runs.config_sections import Options
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_result import RunResult
from zoo.runs.run_start import RunFailure
from zoo.runs.state_files import read_config
from zoo.system.files import Damaged

Record = TypeVar("Record")

_log = logging.getLogger("zoo")
_PRIMARY = (*SENSITIVE_METRICS, "exact_match", "token_accuracy", "masked_accuracy", "replaced_accuracy")


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


def _describe_damage(run: Run) -> str:
    return "; ".join(run.notes) or f"got {run.folder}"


def _explain_missing_config(run: Run) -> str:
    if run.notes:
        return run.notes[-1]
    file = run.folder / "config.yaml"
    if file.exists():
        return f"{file} must hold the config of a run"
    return f"a run folder must hold config.yaml: {_describe_damage(run)}"


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


@dataclass(frozen=True)
class ComparisonOptions:
    """Options for comparing runs that belong to no study.

    Attributes:
        baseline: arm that others are compared with, given by its name or by parts of the name that identify it; without
            a baseline there are no verdicts.
        metrics: metrics in the tables, the primary one first; all metrics of the runs if empty.
        margin: largest difference that counts as equal, as in :class:`Task`.
    """

    baseline: str | None = None
    metrics: tuple[str, ...] = ()
    margin: float | None = None

    @property
    def arguments(self) -> list[str]:
        """Command-line arguments that give these options."""
        arguments = [] if self.baseline is None else [f"baseline={self.baseline}"]
        arguments += [f"metrics={','.join(self.metrics)}"] if self.metrics else []
        return arguments if self.margin is None else [*arguments, f"margin={self.margin:g}"]


def build_study(
    folders: Sequence[Path],
    planned: Mapping[Path, Options] | None = None,
    options: ComparisonOptions = ComparisonOptions(),
) -> tuple[Study, list[Run]]:
    """Builds a study from run folders that belong to no study.

    Runs that differ in the seed alone form an arm, named by the config values that set it apart; tasks are named after
    their data.

    Args:
        folders: folders of the runs.
        planned: configs of runs that may not have started, by folder.
        options: baseline, metrics and margin of the comparison.

    Returns:
        The study and its runs.

    Raises:
        Refused: if there is no folder, a folder has no config, two folders hold the same run, or ``options`` names an
            arm or a metric that does not exist.
    """
    require(len(folders) > 0, "a report needs at least one run folder: got none")
    unnamed = [read_run(folder, "", "", 0) for folder in dict.fromkeys(Path(f).resolve() for f in folders)]
    if len(unnamed) == 1 and (damage := RunFolder(unnamed[0].folder).find_damage()):
        raise damage
    unnamed = [replace(run, config=(planned or {}).get(run.folder, run.config)) for run in unnamed]
    for run in unnamed:
        if not run.config:
            require(bool(run.notes) and len(unnamed) > 1, _explain_missing_config(run))
            _log.warning("ignored: %s", _describe_damage(run))
    unnamed = [run for run in unnamed if run.config]
    require(len(unnamed) > 0, "a report needs a run folder that can be read: got none")
    by_task: dict[str, list[Run]] = {}
    for run in unnamed:
        by_task.setdefault(_get_task_name(run), []).append(run)
    runs = [run for task, members in by_task.items() for run in _name_arms(task, members)]
    _require_distinct_runs(runs)
    arms: dict[str, Mapping[str, Any]] = {run.arm: {} for run in runs}
    baseline = None if options.baseline is None else _find_arm(options.baseline, arms)
    tasks = tuple(_build_task(task, [run for run in runs if run.task == task], options) for task in by_task)
    command = shlex.join(["zoo", "report", *map(str, folders), *options.arguments])
    name, question = f"{len(runs)} runs", "How do these runs compare?"
    return Study(name, question, "", baseline, arms, tasks, (), command), runs


def _find_arm(given: str, arms: Iterable[str]) -> str:
    """Returns the arm of that name, or the only arm whose name contains all parts of ``given``."""
    known = list(arms)
    if given in known:
        return given
    parts = set(given.split(", "))
    found = [arm for arm in known if parts <= set(arm.split(", "))]
    if len(found) > 1:
        raise Refused(f"baseline: {given!r} must identify one arm: got {'; '.join(found)}")
    if not found:
        raise Refused(f"baseline: unknown arm {given!r}: {suggest(given, known)}")
    return found[0]


def _get_task_name(run: Run) -> str:
    return str(run.get_section("data").get("name", "data"))


def _name_arms(task: str, runs: Sequence[Run]) -> list[Run]:
    """Sets task, seed and arm of the runs of one task; arms are named by the config values in which they differ."""
    configs = [flatten_to_text(run.config) for run in runs]
    keys = shorten_keys(find_differing_keys(configs))
    names: dict[tuple[str, ...], str] = {}
    for run, config in zip(runs, configs, strict=True):
        own = tuple(config.get(key, ABSENT) for key in keys)
        names.setdefault(own, _format_arm_name(run, dict(zip(keys.values(), own, strict=True)), names.values()))
    arms = [names[tuple(config.get(key, ABSENT) for key in keys)] for config in configs]
    pairs = zip(runs, arms, strict=True)
    return [replace(run, arm=arm, task=task, seed=run.recorded_seed) for run, arm in pairs]


def _format_arm_name(run: Run, differences: Mapping[str, str], taken: Iterable[str], limit: int = 3) -> str:
    """Formats the first few differences as ``key=value``, with a number if that name is taken."""
    pairs = [f"{key}={value if len(value) <= 24 else value[:23] + '…'}" for key, value in differences.items()]
    alone = str(run.get_section("model").get("name", "run"))
    name = ", ".join(pairs[:limit]) + (" …" if len(pairs) > limit else "") if pairs else alone
    same = [other for other in taken if other == name or other.startswith(f"{name} (")]
    return f"{name} ({len(same) + 1})" if same else name


def _require_distinct_runs(runs: Iterable[Run]) -> None:
    seen: dict[tuple[str, str, int], Run] = {}
    for run in runs:
        first = seen.setdefault((run.arm, run.task, run.seed), run)
        if first is not run:
            raise Refused(f"runs must differ in config or seed: got the same in {first.folder} and {run.folder}")


def _build_task(name: str, runs: Sequence[Run], options: ComparisonOptions) -> Task:
    """Builds the task of these runs; they are comparable if data and objective are the same."""
    found = {name for run in runs for name in run.metrics}
    if not found:
        curves = list_metrics([run.curves for run in runs])
        found = {column.removeprefix("validation/") for column in curves if column.startswith("validation/")}
    for metric in options.metrics if found else ():
        require(metric in found, f"metrics: {name} has no {metric!r}: {suggest(metric, found)}")
    ordered = [key for key in _PRIMARY if key in found] + sorted(found - {*_PRIMARY, "tokens_per_second"})
    different = find_loss_differences(runs)
    note = f"These runs differ in {', '.join(different)}." if different else ""
    return Task(name, not different, options.metrics or tuple(ordered), note, options.margin)
