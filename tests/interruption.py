"""Trainings that are interrupted where a test says, and what must be equal afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from tests.command import digest, without_times
from zoo.runs.run_result import RunResult


class Stops(Callback):
    """Raises in the hook and at the step that it is told."""

    what: BaseException | None = None
    hook = "on_train_batch_end"
    step = 7

    def _stop(self, hook: str, step: int) -> None:
        if Stops.what is not None and (hook, step) == (Stops.hook, Stops.step):
            raise Stops.what

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self._stop("on_train_batch_end", trainer.global_step)

    def on_validation_start(self, trainer: Any, *_: Any) -> None:
        self._stop("on_validation_start", trainer.global_step)

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        self._stop("on_validation_end", trainer.global_step)

    def on_fit_end(self, trainer: Any, *_: Any) -> None:
        self._stop("on_fit_end", trainer.global_step)


def left(folder: Path) -> dict[str, Any]:
    """All that a run left, apart from times and what it took of this machine."""
    result = json.loads((folder / "result.json").read_text())
    for section, unlike in {
        "": ("seconds", "started", "finished", "energy_joules", "git"),  # the last by a commit meanwhile
        "metrics": ("tokens_per_second",),
        "cost": ("peak_memory_bytes",),
    }.items():
        for name in unlike:
            del (result[section] if section else result)[name]
    return {
        "result": result,
        "files": sorted(file.name for file in folder.iterdir()),
        "metrics.csv": without_times((folder / "metrics.csv").read_text()),
        "weights": digest(folder / "model.safetensors"),
    }


def same(first: tuple[Path, RunResult | None], second: tuple[Path, RunResult | None]) -> None:
    """Metrics, steps and tokens to the last bit; metrics.csv but for its times; and the weights."""
    (a, one), (b, two) = first, second
    assert one is not None
    assert two is not None
    timed = {"tokens_per_second": None}
    assert {**one.metrics, **timed} == {**two.metrics, **timed}
    assert (one.steps, one.tokens, one.samples) == (two.steps, two.tokens, two.samples)
    assert without_times((a / "metrics.csv").read_text()) == without_times((b / "metrics.csv").read_text())
    assert digest(a / "model.safetensors") == digest(b / "model.safetensors")
