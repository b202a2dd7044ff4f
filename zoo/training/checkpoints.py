"""Checkpoints, from which an interrupted training resumes."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import pickle
import subprocess
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from zoo.runs.claim import Claim
from zoo.runs.run_folder import RunFolder
from zoo.system.signals import Interruption, is_child
from zoo.training.sharded_checkpoints import read_step

_log = logging.getLogger("zoo")
_SHARE = 0.03  # largest share of the time spent on checkpoints that are due by time
_PATIENCE = 5.0  # seconds to wait for each of the other processes to end


def find_checkpoint(folder: RunFolder, *, main: bool) -> tuple[Path | None, int]:
    """Finds the newest checkpoint that is not damaged.

    Args:
        folder: folder of the run.
        main: whether this process writes to the folder; it then sets damaged checkpoints aside, with a warning.
    Returns:
        path and number of steps; None and 0 if there is no checkpoint.
    """
    for path in folder.list_checkpoints():
        try:
            folder.require_checkpoint(path)
            step = read_step(path)
        except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            if main:
                first = next(iter(str(error).splitlines()), type(error).__name__)
                _log.warning("%s: set aside as %s", first, folder.set_aside_checkpoint(path))
        else:
            _log.info("%s: resuming from step %d", folder.path, step)
            return path, step
    return None, 0


class Checkpoints(Checkpoint):
    """Writes checkpoints, and keeps the two newest.

    Lightning resumes from the state right after an optimizer step, before that step is evaluated and logged. The state
    is therefore written as a draft at the end of the step and published only after evaluation and logging: a resumed
    run has each metric in metrics.csv exactly once.

    A checkpoint is written every ``every`` steps, every ``seconds`` seconds, after the last step, and when a signal
    ends the process. Checkpoints by time take at most 3 % of the time. On several devices, all processes agree at
    each step on whether to write, because saving is a collective operation.

    Args:
        folder: folder of the run.
        every: steps between checkpoints.
        seconds: seconds between checkpoints; None for no limit.
        resumed: step that the run resumes from.
        claim: claim on the run; None in other than the main process of a run on several devices.
        interruption: records signals.
    """

    def __init__(
        self,
        folder: RunFolder,
        every: int,
        seconds: float | None,
        resumed: int,
        claim: Claim | None,
        interruption: Interruption,
    ) -> None:
        self.folder, self.every, self.claim, self.interruption = folder, every, claim, interruption
        self._seconds = math.inf if seconds is None else seconds
        self._step = self._written = self._published = resumed
        self._last_written, self._cost, self._signal = time.monotonic(), 0.0, 0

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Installs the signal handlers again, because Lightning has just replaced them."""
        self.interruption.install()
        self._last_written = time.monotonic()

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Publishes the checkpoint of the previous step, which is now evaluated and logged."""
        if self.claim is not None:
            self.claim.require_held()
        self._publish()
        if self._signal:
            self._end(trainer)

    def on_validation_start(self, *_: Any) -> None:
        """Installs the signal handlers again, because a separate validation makes Lightning replace them."""
        self.interruption.install()

    def on_validation_batch_start(self, *_: Any) -> None:
        """Renews the claim during an evaluation, which may take long."""
        if self.claim is not None:
            self.claim.require_held()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Writes the state after the last micro-batch of a step, if a checkpoint is due."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        self._signal, due = _reduce_signals(trainer, self.interruption.number, self._is_due(trainer))
        if (due or self._signal) and self._step != self._written:
            begun = time.monotonic()
            trainer.save_checkpoint(self._draft)
            self._written, self._last_written = self._step, time.monotonic()
            self._cost = self._last_written - begun

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Publishes the last checkpoint, unless training stopped early: resumed from it, it would not stop again."""
        if not trainer.should_stop:
            self._publish()

    @property
    def _draft(self) -> Path:
        return self.folder.checkpoints / "state.draft"

    def _is_due(self, trainer: lightning.Trainer) -> bool:
        elapsed = time.monotonic() - self._last_written
        by_time = elapsed >= max(self._seconds, self._cost / _SHARE)
        return by_time or self._step % self.every == 0 or self._step == trainer.max_steps

    def _publish(self) -> None:
        if self._written != self._published:
            self._published = self._written
            if self.claim is not None:
                begun = time.monotonic()
                self.claim.require_held(on_disk=True)
                self.folder.add_checkpoint(self._draft, self._published)
                self._cost += time.monotonic() - begun
            self.interruption.done = f"step {self._published} is kept"

    def _end(self, trainer: lightning.Trainer) -> None:
        """Ends as the signal asks, after the other processes of a run on several devices.

        Lightning kills the first process at once if another one exits with a nonzero code, and the first process
        determines the exit code of the command: the others therefore exit with 0.
        """
        number, self._signal = self._signal, 0
        if self.claim is None and is_child():
            os._exit(0)
        for process in getattr(trainer.strategy.launcher, "procs", ()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        self.interruption.end(number)


def _reduce_signals(trainer: lightning.Trainer, signal: int, due: bool) -> tuple[int, bool]:
    """Reduces over all processes: the signal that any of them received, and whether a checkpoint is due in any."""
    if trainer.world_size == 1:
        return signal, due
    ours = torch.tensor([signal, due], device=trainer.strategy.root_device)
    agreed = trainer.strategy.reduce(ours, torch.distributed.group.WORLD, reduce_op="max").tolist()
    return int(agreed[0]), bool(agreed[1])
