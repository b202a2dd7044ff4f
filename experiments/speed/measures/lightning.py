"""A step of ``zoo train`` with Lightning against a bare loop: same model, batches from the same data, same optimizer.

Lightning's side is zoo's training as it is, with its own log of metrics, but without progress bar and checkpoints.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.speed.clock import Settings, compute_ratios
from experiments.speed.outcome import Row
from experiments.speed.shapes import SMALL, TINY, Shape, list_overrides
from experiments.speed.work import make_zoo_step
from zoo.config.checking import CheckedConfig, check_run
from zoo.config.compose import compose_run
from zoo.config.data_and_objective import make_objective
from zoo.data.batch import Batch
from zoo.data.prepare import PreparedData
from zoo.data.rows import Rows
from zoo.model import build
from zoo.runs.claim import Claim
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_start import RunStart
from zoo.training.batches import Share, TrainingBatches
from zoo.training.fit import fit
from zoo.training.job import Job
from zoo.training.run import prepare_data

WARM_UP = 3
STEPS = {"small": 10, "tiny": 60}
NEVER = 10**9


class TimedRows(Rows):
    """Rows that record when a batch is read: the time between two is that of a step."""

    def __init__(self, rows: Rows, most: int, read_clock: Callable[[], float]) -> None:
        self.rows, self.most, self.bytes, self.read_clock = rows, most, rows.bytes, read_clock
        self.times: list[float] = []

    def __len__(self) -> int:
        return min(self.most, len(self.rows))

    def get_batch(self, indices: Any) -> Batch:
        """Returns a batch, and records the time."""
        self.times.append(self.read_clock())
        return self.rows.get_batch(indices)

    def compute_step_seconds(self) -> float:
        """Computes the mean seconds of a step after the first ones."""
        return (self.times[-1] - self.times[WARM_UP]) / (len(self.times) - 1 - WARM_UP)


def measure(settings: Settings) -> Iterator[Row]:
    """Yields rows of both loops, on documents of ``data=stories``."""
    for shape in (TINY,) if settings.is_quick else (SMALL, TINY):
        yield from _measure(shape, replace(settings, rounds=max(2, settings.rounds // 2)))


def _measure(shape: Shape, settings: Settings) -> Iterator[Row]:
    checked = _check(shape)
    prepared = prepare_data(checked.config)
    taken: dict[str, list[float]] = {"Lightning": [], "bare loop": []}
    loops = {"Lightning": _run_lightning, "bare loop": _run_bare}
    for _ in range(settings.rounds):
        for name, run in loops.items():
            rows = TimedRows(prepared.train, len(prepared.train), settings.read_clock)
            run(checked, prepared, rows)
            taken[name].append(rows.compute_step_seconds())
    torch.set_num_threads(settings.threads)
    ratio = compute_ratios(taken["Lightning"], taken["bare loop"])
    for name, seconds in taken.items():
        yield Row(f"{shape.name} gpt", name, seconds, {"of a bare loop": ratio} if name == "Lightning" else {})


def _check(shape: Shape) -> CheckedConfig:
    steps = WARM_UP + STEPS[shape.name]
    given = [f"data.length={shape.length}", f"batch={shape.batch}", f"steps={steps}", f"evaluate={NEVER}"]
    never = [f"checkpoint={NEVER}", "checkpoint_seconds=null", "precision=32-true", "trainer=cpu"]
    model = [each for each in list_overrides("gpt", shape) if not each.startswith("model.vocabulary")]
    checked = check_run(compose_run([*model, "data=stories", *given, *never]), was_trained=lambda checked: True)
    checked.require()
    return checked


def _run_lightning(checked: CheckedConfig, prepared: PreparedData, rows: TimedRows) -> None:
    assert checked.plan is not None
    validation = TimedRows(prepared.validation, checked.config.batch, rows.read_clock)
    with tempfile.TemporaryDirectory(prefix="zoo-speed-") as place:
        job = Job(
            config=checked.config,
            folder=RunFolder(Path(place) / "run"),
            prepared=replace(prepared, train=rows, validation=validation),
            plan=checked.plan,
            model=build.assemble(checked.plan, prepared.vocabulary.size),
            objective=make_objective(checked.config, prepared.vocabulary),
            loggers=(),
            callbacks=(),
            start=RunStart(),
            is_quiet=True,
        )
        claim = Claim(job.folder.path)
        claim.take()
        with claim:
            fit(job, claim)


def _run_bare(checked: CheckedConfig, prepared: PreparedData, rows: TimedRows) -> None:
    assert checked.plan is not None
    config, objective = checked.config, make_objective(checked.config, prepared.vocabulary)
    batches = TrainingBatches(rows, objective, config.batch, 1, config.seed, 0, Share())
    model = build.assemble(checked.plan, prepared.vocabulary.size)
    step = make_zoo_step(model, objective, (batch.view for batch in batches))
    for _ in range(config.steps):
        step()
