"""Estimates the duration of runs on this machine from a few real training steps, which leave no files behind."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig
from zoo.config.data_and_objective import make_objective
from zoo.data.batch import Batch
from zoo.data.rows import Rows
from zoo.model import build
from zoo.runs.claim import Claim
from zoo.runs.config_sections import Target
from zoo.runs.flat_configs import flatten_to_text
from zoo.runs.run_config import RunConfig
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_start import RunStart
from zoo.study.forecast.predict_speeds import SpeedKind, order_by_novelty, predict_durations
from zoo.study.match.quantities import measure_quantity
from zoo.study.plan.cell import Setting
from zoo.training.job import Job
from zoo.training.run import fit, prepare_data

_MAX_STEPS, _MAX_SECONDS = 5, 0.3  # at least three steps are taken, the first to warm up
_VALIDATION_BATCHES = 3  # the first to warm up
_TOTAL_SECONDS, _LEAST_KINDS = 8.0, 12  # for all measurements, and the number of kinds that are measured in any case
_NEVER = 10**9
_KEYS_WITHOUT_COST = (
    "seed",
    "steps",
    "evaluate",
    "checkpoint",
    "checkpoint_seconds",
    "examples",
    "label",
    "runs",
    "cache",
    "schedule",
    "logger",
)
"""Keys that do not change the speed of a step, or that the short run leaves out."""


@dataclass(frozen=True)
class Estimate:
    """Estimated duration of a run.

    Attributes:
        seconds: Duration in seconds; None if it is unknown.
        error: Error of its first steps, if they failed.
        is_measured: False if the run was not tried, and its duration is predicted from those of other runs.
    """

    seconds: float | None
    error: str = ""
    is_measured: bool = True


@dataclass(frozen=True)
class _Speed:
    """Measured durations in seconds: everything that happens once, an optimizer step, and an evaluation."""

    once: float
    step: float
    evaluation: float

    def estimate_seconds(self, config: RunConfig) -> float:
        evaluations = math.ceil(config.steps / config.evaluate)
        return self.once + self.step * config.steps + self.evaluation * evaluations


def estimate_run_times(
    settings: Sequence[Setting], report: Callable[[str], None] = lambda line: None
) -> dict[tuple[str, str], Estimate]:
    """Estimates the duration of a run of each setting on an otherwise idle machine, by arm and task.

    The training loop takes a few steps and evaluates a few batches, on one device and with the threads of the config,
    without loggers and callbacks. Settings of equal speed are measured once. Where there are many, those are measured
    first that contain all options, and after some seconds the others are predicted from them: their first steps are not
    tried. The random state is restored. Runs on several devices take less time than estimated.

    Args:
        settings: Arms on tasks without problems.
        report: Called with the name of a setting before it is measured.
    """
    kinds: dict[str, SpeedKind] = {}
    first: dict[str, tuple[int, Setting]] = {}
    names = {}
    for number, setting in enumerate(settings, 1):
        kind = _find_kind(setting.checked)
        name = names[setting.arm, setting.task] = json.dumps(sorted(kind.options))
        if name not in kinds:
            kinds[name], first[name] = kind, (number, setting)
    measured = _measure_kinds(kinds, first, len(settings), report)
    speeds = {name: speed for name, speed in measured.items() if isinstance(speed, _Speed)}
    predicted = _predict_speeds(kinds, speeds)
    found = {}
    for setting in settings:
        name = names[setting.arm, setting.task]
        speed = measured.get(name, predicted.get(name, ""))
        seconds = None if isinstance(speed, str) else speed.estimate_seconds(setting.checked.config)
        found[setting.arm, setting.task] = Estimate(seconds, speed if isinstance(speed, str) else "", name in measured)
    return found


def _find_kind(checked: CheckedConfig) -> SpeedKind:
    """Finds what determines the speed of a run."""
    config = checked.config
    costly = {key: value for key, value in config.as_mapping().items() if key not in (*_KEYS_WITHOUT_COST, "callbacks")}
    arguments = {key: value for key, value in config.optimizer.arguments.items() if not isinstance(value, float)}
    costly["optimizer"] = Target(config.optimizer.path, arguments).as_mapping()
    costly["model"] = {key: value for key, value in costly["model"].items() if key != "initialization"}
    try:
        work = measure_quantity(checked, "train_flops") / config.steps
    except Refused:  # the measurement fails, too, and says why
        work = 1.0
    return SpeedKind(frozenset(flatten_to_text(costly).items()), work)


def _measure_kinds(
    kinds: Mapping[str, SpeedKind],
    first: Mapping[str, tuple[int, Setting]],
    settings: int,
    report: Callable[[str], None],
) -> dict[str, _Speed | str]:
    """Measures kinds until the time for it is over, and at least a few; returns the speed or the error of each."""
    measured: dict[str, _Speed | str] = {}
    until = time.monotonic() + _TOTAL_SECONDS
    with _freeze_objects():
        for name in order_by_novelty(kinds):
            if len(measured) >= _LEAST_KINDS and time.monotonic() > until:
                break
            number, setting = first[name]
            report(f"{setting.task} {setting.arm} ({number} of {settings})")
            measured[name] = _measure_speed(setting.checked)
    return measured


def _predict_speeds(kinds: Mapping[str, SpeedKind], speeds: Mapping[str, _Speed]) -> dict[str, _Speed]:
    """Predicts the speeds of the kinds that are not among ``speeds``; none if these are empty."""
    durations = {name: (speed.once, speed.step, speed.evaluation) for name, speed in speeds.items()}
    predicted = predict_durations(kinds, durations) if speeds else {}
    return {name: _Speed(*each) for name, each in predicted.items()}


def _measure_speed(checked: CheckedConfig) -> _Speed | str:
    """Measures the speed of a setting; returns the error if its first steps fail."""
    try:
        with (
            _restore_process_state(checked.config.threads),
            tempfile.TemporaryDirectory(prefix="zoo-probe-") as place,
        ):
            return _time_short_run(checked, RunFolder(Path(place) / "run"))
    except Exception as error:
        message = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
        return next(iter(message.splitlines()), type(error).__name__)


def _time_short_run(checked: CheckedConfig, folder: RunFolder) -> _Speed:
    if checked.plan is None:
        raise Refused("model: must be given")
    config, prepared = checked.config, prepare_data(checked.config)
    train = _TimedRows(prepared.train, len(prepared.train))
    validation = _TimedRows(prepared.validation, _VALIDATION_BATCHES * config.batch)
    started = _read_clock()
    model = build.assemble(checked.plan, prepared.vocabulary.size)
    job = Job(
        config=_shorten_config(config),
        folder=folder,
        prepared=replace(prepared, train=train, validation=validation),
        plan=checked.plan,
        model=model,
        objective=make_objective(config, prepared.vocabulary),
        loggers=(),
        callbacks=(),
        start=RunStart(),
        is_quiet=True,
    )
    claim = Claim(folder.path)
    claim.take()
    with claim:
        result = fit(job, claim)
    steps = 0 if result is None else result.steps or 0
    whole = _read_clock() - started
    step = config.accumulate * _average_interval(train.times[1 : steps * config.accumulate + 1])
    batches, all_batches = (math.ceil(len(rows) / config.batch) for rows in (validation, prepared.validation))
    times = validation.times[: batches + 1]  # the last one by the result, after the evaluation
    evaluation = times[-1] - times[0]
    batch = _average_interval(times[:batches]) if batches > 1 else evaluation
    once = max(0.0, whole - step * steps - evaluation)
    return _Speed(once, step, evaluation + batch * (all_batches - batches))


def _shorten_config(config: RunConfig) -> RunConfig:
    """Returns the config of a run of a few steps on one device."""
    limits = {"min_steps": 3, "max_time": {"seconds": _MAX_SECONDS}}
    return replace(
        config,
        steps=1 + _MAX_STEPS,
        evaluate=_NEVER,
        checkpoint=_NEVER,
        checkpoint_seconds=None,
        label="probe",
        trainer=config.trainer.replace_arguments(devices=1, num_nodes=1, strategy="auto", **limits),
    )


class _TimedRows(Rows):
    """Rows that record when a batch was read; the time between two is what a run spends on a batch."""

    def __init__(self, rows: Rows, most: int) -> None:
        self.rows, self.most, self.bytes = rows, most, rows.bytes
        self.times: list[float] = []

    def __len__(self) -> int:
        return min(len(self.rows), self.most)

    def get_batch(self, indices: Any) -> Batch:
        """Returns a batch, and records the time."""
        self.times.append(_read_clock())
        return self.rows.get_batch(indices)


def _average_interval(times: Sequence[float]) -> float:
    """Returns the mean interval; the first one is a warm-up and left out if there are several."""
    first = 1 if len(times) > 2 else 0
    return (times[-1] - times[first]) / (len(times) - 1 - first)


def _read_clock() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@contextlib.contextmanager
def _freeze_objects() -> Iterator[None]:
    """Excludes what exists, such as imported modules, from garbage collections, most of whose time it would take."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def _restore_process_state(threads: int | None) -> Iterator[None]:
    """Sets the number of threads, and afterwards restores it, the random state, and the memory of the process."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            yield
    finally:
        torch.set_num_threads(before)
        gc.collect()
        torch.cuda.empty_cache()
