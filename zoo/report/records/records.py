"""What a report is made of: tasks, runs, and the study that asked for them."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from zoo.checks import Refused, require, suggest
from zoo.report.records.flat_configs import ABSENT, differing, short_keys, texts
from zoo.report.records.learning_curves import measured, read_curves
from zoo.report.records.metrics import TELLING
from zoo.report.records.run_files import read_json
from zoo.runs.run_folder import RunFolder
from zoo.runs.state_files import read_config

_log = logging.getLogger("zoo")
_PRIMARY = (*TELLING, "exact_match", "token_accuracy", "masked_accuracy", "replaced_accuracy")


@dataclass(frozen=True)
class Task:
    """What the arms are trained on. The first of ``metrics`` is the one that decides.

    ``comparable`` is false where the arms minimise different things, so that no ranking means anything. ``margin`` is
    the difference of the deciding metric up to which arms count as equal, as the report writes it: of a share, in
    points of a percent. In a study of several sizes there is one for each task and size: ``of`` is the name of the task
    alone, ``size`` that of the size.
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
    """One training: its config, its outcome if there is one yet, and its curves.

    ``rate`` is the learning rate where the study chose it, and a run that is ``tuning`` served that choice alone: it is
    in no table. A run is ``stale`` if other code or data made its result than what is there now. ``notes`` say what of
    the folder could not be read.
    """

    arm: str
    task: str
    seed: int
    folder: Path
    config: Mapping[str, Any]
    result: Mapping[str, Any] | None
    failure: Mapping[str, Any] | None
    curves: pl.DataFrame
    notes: tuple[str, ...] = ()
    rate: float | None = None
    tuning: bool = False
    stale: bool = False


@dataclass(frozen=True)
class Moved:
    """What was moved in an arm so that it costs what the baseline costs.

    Attributes:
        quantity: what is equal, such as ``parameters``.
        knob: the key that moved, such as ``model.hidden``.
        before: its value in the arm as it is written.
        after: its value in the runs.
        target: the quantity of the baseline.
        reached: that of the arm.
        why: if they differ by more than 0.5 %, why it cannot be nearer.
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
        """What is left, as a share of the target; above 0 where the arm has more."""
        return self.reached / self.target - 1


@dataclass(frozen=True)
class Study:
    """A question, its arms (by name, with the overrides that make them), its tasks, and how to make it again.

    Attributes:
        not_applicable: arm, task, and why the arm makes no sense there.
        against: the arm that an arm is compared with, where that is not the baseline.
        factors: of an arm of two factors, its level of each; empty for the level of the baseline.
        moved: by arm and task, what was moved to match the baseline.
        until_decided: whether seeds were added until each arm had a verdict, by the sequential rule.
        most: seeds after which that ends.
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
    moved: Mapping[tuple[str, str], Moved] = field(default_factory=dict)
    until_decided: bool = False
    most: int = 0


def read_run(folder: Path, arm: str, task: str, seed: int) -> Run:
    """Read a run's folder in whatever state it is: planned (absent), running, killed, failed or done."""
    curves, notes = read_curves(folder / "metrics.csv")
    result, result_notes = read_json(folder / "result.json")
    failure, failure_notes = read_json(folder / "failed.json") if result is None else (None, ())
    config, config_notes = _config(folder / "config.yaml")
    notes += result_notes + failure_notes + config_notes
    return Run(arm, task, seed, folder, config, result, failure, curves, notes)


def _unread(run: Run) -> str:
    return "; ".join(run.notes) or f"got {run.folder}"


def _name_unread(run: Run) -> str:
    if run.notes:
        return run.notes[-1]
    file = run.folder / "config.yaml"
    return (
        f"{file} must hold the config of a run"
        if file.exists()
        else f"a run folder must hold config.yaml: {_unread(run)}"
    )


def _config(path: Path) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The config of a run; empty, and a note, if it cannot be read."""
    try:
        config = read_config(path)
        seed = config.get("seed", 0)
        require(isinstance(seed, int) or seed is None, f"{path}: seed must be an integer: got {seed!r}")
    except Refused as error:
        return {}, (str(error),)
    return config, ()


def up_to_date(runs: Sequence[Run]) -> list[Run]:
    """Runs without the results of those that are stale, unless all results are: old and new are never mixed."""
    mixed = len({run.stale for run in runs if run.result is not None}) > 1
    return [replace(run, result=None, curves=pl.DataFrame()) if mixed and run.stale else run for run in runs]


@dataclass(frozen=True)
class Judging:
    """How runs that no study planned are judged.

    Attributes:
        baseline: the arm that others are compared with, by its name or by enough parts of it; without one, there are
            no verdicts.
        metrics: what is shown, the first decides; if empty, all that the runs report.
        margin: as of a :class:`Task`.
    """

    baseline: str | None = None
    metrics: tuple[str, ...] = ()
    margin: float | None = None

    @property
    def words(self) -> list[str]:
        """As on a command line."""
        words = [] if self.baseline is None else [f"baseline={self.baseline}"]
        words += [f"metrics={','.join(self.metrics)}"] if self.metrics else []
        return words if self.margin is None else [*words, f"margin={self.margin:g}"]


def runs_study(
    folders: Sequence[Path],
    planned: Mapping[Path, Mapping[str, Any]] | None = None,
    judging: Judging = Judging(),
) -> tuple[Study, list[Run]]:
    """A study of runs that nobody planned together.

    Runs that are equal but for the seed are one arm, named by what sets it apart; the task is the name of the data.

    Args:
        folders: of the runs.
        planned: configs of runs that may not have begun, by folder.
        judging: by what, and against which arm.

    Raises:
        Refused: if there is no folder, one holds no config, two hold the same run, or ``judging`` names an arm or a
            metric that is not there.
    """
    require(len(folders) > 0, "a report needs at least one run folder: got none")
    unnamed = [read_run(folder, "", "", 0) for folder in dict.fromkeys(Path(f).resolve() for f in folders)]
    if len(unnamed) == 1 and (damage := RunFolder(unnamed[0].folder).find_damage()):
        raise damage
    unnamed = [replace(run, config=(planned or {}).get(run.folder, run.config)) for run in unnamed]
    for run in unnamed:
        if not run.config:
            require(bool(run.notes) and len(unnamed) > 1, _name_unread(run))
            _log.warning("left out: %s", _unread(run))
    unnamed = [run for run in unnamed if run.config]
    require(len(unnamed) > 0, "a report needs a run folder that can be read: got none")
    by_task: dict[str, list[Run]] = {}
    for run in unnamed:
        by_task.setdefault(_task_name(run), []).append(run)
    runs = [run for task, members in by_task.items() for run in _named(task, members)]
    _refuse_twins(runs)
    arms: dict[str, Mapping[str, Any]] = {run.arm: {} for run in runs}
    baseline = None if judging.baseline is None else _find_arm(judging.baseline, arms)
    tasks = tuple(_task(task, [run for run in runs if run.task == task], judging) for task in by_task)
    command = shlex.join(["zoo", "report", *map(str, folders), *judging.words])
    name, question = f"{len(runs)} runs", "How do these runs compare?"
    return Study(name, question, "", baseline, arms, tasks, (), command), runs


def _find_arm(given: str, arms: Iterable[str]) -> str:
    """The arm of that name, or the only one in whose name all parts of ``given`` occur."""
    known = list(arms)
    if given in known:
        return given
    parts = set(given.split(", "))
    found = [arm for arm in known if parts <= set(arm.split(", "))]
    if len(found) > 1:
        raise Refused(f"baseline: {given!r} must be one arm: got {'; '.join(found)}")
    if not found:
        raise Refused(f"baseline: unknown arm {given!r}: {suggest(given, known)}")
    return found[0]


def _task_name(run: Run) -> str:
    data = run.config.get("data")
    return str(data.get("name", "data")) if isinstance(data, Mapping) else str(data or "data")


def _named(task: str, runs: Sequence[Run]) -> list[Run]:
    """The runs of one task, each with its seed and an arm named by what differs."""
    configs = [texts(run.config) for run in runs]
    keys = short_keys(differing(configs))
    names: dict[tuple[str, ...], str] = {}
    for run, config in zip(runs, configs, strict=True):
        own = tuple(config.get(key, ABSENT) for key in keys)
        names.setdefault(own, _arm_name(run, dict(zip(keys.values(), own, strict=True)), names.values()))
    arms = [names[tuple(config.get(key, ABSENT) for key in keys)] for config in configs]
    pairs = zip(runs, arms, strict=True)
    return [replace(run, arm=arm, task=task, seed=int(run.config.get("seed") or 0)) for run, arm in pairs]


def _arm_name(run: Run, differences: Mapping[str, str], taken: Iterable[str], limit: int = 3) -> str:
    """``key=value`` of the first few differences; numbered if that name is taken."""
    pairs = [f"{key}={value if len(value) <= 24 else value[:23] + '…'}" for key, value in differences.items()]
    model = run.config.get("model")
    alone = str(model.get("name", "run")) if isinstance(model, Mapping) else "run"
    name = ", ".join(pairs[:limit]) + (" …" if len(pairs) > limit else "") if pairs else alone
    same = [other for other in taken if other == name or other.startswith(f"{name} (")]
    return f"{name} ({len(same) + 1})" if same else name


def _refuse_twins(runs: Iterable[Run]) -> None:
    seen: dict[tuple[str, str, int], Run] = {}
    for run in runs:
        first = seen.setdefault((run.arm, run.task, run.seed), run)
        if first is not run:
            raise Refused(f"runs must differ in config or seed: got {first.folder} and {run.folder}")


def _task(name: str, runs: Sequence[Run], judging: Judging) -> Task:
    """The task of these runs: comparable if data and objective are one and the same."""
    found = {key for run in runs if run.result for key in run.result.get("metrics", {})}
    if not found:
        curves = measured([run.curves for run in runs])
        found = {column.removeprefix("validation/") for column in curves if column.startswith("validation/")}
    for metric in judging.metrics if found else ():
        require(metric in found, f"metrics: {name} has no {metric!r}: {suggest(metric, found)}")
    ordered = [key for key in _PRIMARY if key in found] + sorted(found - {*_PRIMARY, "tokens_per_second"})
    apart = differing([texts({key: run.config.get(key) for key in ("objective", "data")}) for run in runs])
    note = f"These runs differ in {', '.join(apart)}." if apart else ""
    return Task(name, not apart, judging.metrics or tuple(ordered), note, judging.margin)
