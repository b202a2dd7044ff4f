"""One of several processes that train a list of runs; a script, started by ``test_devices.py`` as Lightning would."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from tests.command import checked
from zoo.training import run as run_module
from zoo.training.checkpoints import find_checkpoint
from zoo.training.run import run_folder, train


class Stopped(Exception):
    """Ends a training on purpose."""


class Stop(Callback):
    """Ends a training in the middle of the step after ``step``, whose checkpoint is then published."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, number: int) -> None:
        if trainer.global_step == self.step and (number + 1) % trainer.accumulate_grad_batches:
            raise Stopped


def train_until(overrides: list[str], stop: int | None) -> None:
    """Trains a run, to its end or to a step."""
    build = run_module._build_parts

    def build_with_stop(*given: Any) -> Any:
        *others, callbacks = build(*given)
        return *others, [*callbacks, *([] if stop is None else [Stop(stop)])]

    run_module._build_parts = build_with_stop
    try:
        train(checked(*overrides))
    except Stopped:
        pass
    finally:
        run_module._build_parts = build


def take_over(source: list[str], target: list[str]) -> None:
    """Copies checkpoints and metrics of one run to the folder of another."""
    old, new = run_folder(checked(*source)).path, run_folder(checked(*target)).path
    new.mkdir(parents=True)
    shutil.copytree(old / "checkpoints", new / "checkpoints")
    shutil.copy(old / "metrics.csv", new)
    assert find_checkpoint(run_folder(checked(*target)), main=False)[1] > 0


def main(jobs: list[dict[str, Any]]) -> None:
    for job in jobs:
        if (source := job.get("source")) is not None:
            if os.environ["LOCAL_RANK"] == "0":
                take_over(source, job["overrides"])
            torch.distributed.barrier()
        train_until(job["overrides"], job.get("stop"))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
