"""How long a run would take on this machine, from a few real steps that leave nothing behind."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig, make_objective
from zoo.data.batch import Batch
from zoo.data.rows import Rows
from zoo.model import build
from zoo.runs.claim import Claim
from zoo.runs.config_sections import Target
from zoo.runs.run_config import RunConfig
from zoo.runs.run_folder import RunFolder
from zoo.study.plan.cell import Setting
from zoo.training.fit import fit
from zoo.training.job import Job
from zoo.training.run import prepare_data

_MAX_STEPS, _MAX_SECONDS = 5, 0.3  # a step to warm up and two more are taken whatever they take
_VALIDATION_BATCHES = 3  # of the validation split, the first to warm up
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
"""What costs nothing itself, and what a probe leaves out; callbacks too."""


@dataclass(frozen=True)
class Estimate:
    """Of one run; ``error`` says what its first steps died of, if they did."""

    seconds: float | None
    error: str = ""


@dataclass(frozen=True)
class _Speed:
    """What was measured, in seconds: all that happens once, an optimizer step, and an evaluation."""

    once: float
    step: float
    evaluation: float

    def seconds(self, config: RunConfig) -> float:
        evaluations = math.ceil(config.steps / config.evaluate)
        return self.once + self.step * config.steps + self.evaluation * evaluations


def estimate_run_times(
    settings: Sequence[Setting], tell: Callable[[str], None] = lambda line: None
) -> dict[tuple[str, str], Estimate]:
    """Estimate the seconds of one run of each setting, by arm and task, if nothing else is going on.

    The run's own training loop takes a few steps and evaluates a few batches, on one device and as many threads as the
    config says, without its loggers and callbacks. Settings between which nothing costly differs are measured once. The
    random state stays as it was. A run of several devices takes less than is told here.

    Args:
        settings: arms on tasks, free of problems.
        tell: is told which is measured.
    """
    known: dict[str, _Speed | str] = {}
    found = {}
    for number, setting in enumerate(settings, 1):
        config = setting.checked.config
        kind = _describe_cost(config)
        if kind not in known:
            tell(f"{setting.task} {setting.arm} ({number} of {len(settings)})")
            known[kind] = _measure_speed(setting.checked)
        speed = known[kind]
        told = Estimate(None, speed) if isinstance(speed, str) else Estimate(speed.seconds(config))
        found[setting.arm, setting.task] = told
    return found


def _describe_cost(config: RunConfig) -> str:
    """What runs of equal speed have in common."""
    costly = {key: value for key, value in config.as_mapping().items() if key not in (*_KEYS_WITHOUT_COST, "callbacks")}
    arguments = {key: value for key, value in config.optimizer.arguments.items() if not isinstance(value, float)}
    costly["optimizer"] = Target(config.optimizer.path, arguments).as_mapping()
    costly["model"] = {key: value for key, value in costly["model"].items() if key != "initialization"}
    return json.dumps(costly, sort_keys=True)


def _measure_speed(checked: CheckedConfig) -> _Speed | str:
    """The speed of a setting, or what its first steps died of."""
    try:
        with (
            _restore_process_state(checked.config.threads),
            tempfile.TemporaryDirectory(prefix="zoo-probe-") as place,
        ):
            return _time_short_run(checked, RunFolder(Path(place) / "run"))
    except Exception as error:
        told = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
        return next(iter(told.splitlines()), type(error).__name__)


def _time_short_run(checked: CheckedConfig, folder: RunFolder) -> _Speed:
    if checked.plan is None:
        raise Refused("model: must be given")
    config, prepared = checked.config, prepare_data(checked.config)
    train = _TimedRows(prepared.train, len(prepared.train))
    validation = _TimedRows(prepared.validation, _VALIDATION_BATCHES * config.batch)
    begun = _read_clock()
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
        facts={},
    )
    claim = Claim(folder.path)
    claim.take()
    with claim:
        steps = fit(job, claim)["steps"]
    whole = _read_clock() - begun
    step = config.accumulate * _average_interval(train.times[1 : steps * config.accumulate + 1])
    batches, all_batches = (math.ceil(len(rows) / config.batch) for rows in (validation, prepared.validation))
    asked = validation.times[: batches + 1]  # the last by the result, when the evaluation is over
    evaluation = asked[-1] - asked[0]
    batch = _average_interval(asked[:batches]) if batches > 1 else evaluation
    once = max(0.0, whole - step * steps - evaluation)
    return _Speed(once, step, evaluation + batch * (all_batches - batches))


def _shorten_config(config: RunConfig) -> RunConfig:
    """The config of a run that ends soon, on one device, and prints no bar."""
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
    """Rows that know when they were asked for; between two times lies all that a run does with a batch."""

    def __init__(self, rows: Rows, most: int) -> None:
        self.rows, self.most, self.bytes = rows, most, rows.bytes
        self.times: list[float] = []

    def __len__(self) -> int:
        return min(len(self.rows), self.most)

    def get_batch(self, indices: Any) -> Batch:
        """As the rows have it."""
        self.times.append(_read_clock())
        return self.rows.get_batch(indices)


def _average_interval(times: Sequence[float]) -> float:
    """The mean time between two, the first left out where there are several: that warms up."""
    first = 1 if len(times) > 2 else 0
    return (times[-1] - times[first]) / (len(times) - 1 - first)


def _read_clock() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@contextlib.contextmanager
def _restore_process_state(threads: int | None) -> Iterator[None]:
    """Threads as asked for; then all of the process is as it was before, random state and memory too."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            yield
    finally:
        torch.set_num_threads(before)
        gc.collect()
        torch.cuda.empty_cache()
