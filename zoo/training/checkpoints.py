"""Training states on disk, to go on from after an interruption."""

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

_log = logging.getLogger("zoo")
_SHARE = 0.03  # of the time, for checkpoints that are due by time
_PATIENCE = 5.0  # seconds for each of the other processes to end


def find_checkpoint(folder: RunFolder, *, main: bool) -> tuple[Path | None, int]:
    """The newest training state that is as it was written, and the steps that were done by then; None and 0 without.

    Args:
        folder: of the run.
        main: if this process writes in the folder: it says what is damaged, and sets it aside.
    """
    for path in folder.list_checkpoints():
        try:
            folder.require_checkpoint(path)
            step = int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"])
        except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            if main:
                first = next(iter(str(error).splitlines()), type(error).__name__)
                _log.warning("%s: set aside as %s", first, folder.set_aside_checkpoint(path))
        else:
            _log.info("%s: going on from step %d", folder.path, step)
            return path, step
    return None, 0


class Checkpoints(Checkpoint):
    """Keeps the training state of every so many steps, the newest and the one before it.

    The state is written as Lightning expects to find it, before the step is evaluated and logged, but counts only
    when that is done too: so a run that goes on from it has in metrics.csv all that was before, and nothing twice.

    A state is written every so many steps, after every so many seconds, after the last step, and when a signal asks the
    process to end. By time, no more than 3 % of it are spent on that. On several devices, all processes agree at each
    step on whether to write, for all of them must.

    Args:
        folder: of the run.
        every: steps between states.
        seconds: between states; None is no limit.
        resumed: the step that the run goes on from.
        claim: the right to write; None in the further processes of a run on several devices.
        interruption: notes signals.
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
        self._step = self._written = self._counts = resumed
        self._begun, self._cost, self._signal = time.monotonic(), 0.0, 0

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Lightning has just taken the signals for itself; compiling and the first evaluation are behind."""
        self.interruption.install()
        self._begun = time.monotonic()

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """All of the step before is done."""
        if self.claim is not None:
            self.claim.require_held()
        self._count()
        if self._signal:
            self._end(trainer)

    def on_validation_start(self, *_: Any) -> None:
        """A validation by itself has Lightning take the signals once more."""
        self.interruption.install()

    def on_validation_batch_start(self, *_: Any) -> None:
        """An evaluation may take long."""
        if self.claim is not None:
            self.claim.require_held()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Write the state, after the last micro-batch of a step."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        self._signal, due = _agree(trainer, self.interruption.number, self._is_due(trainer))
        if (due or self._signal) and self._step != self._written:
            begun = time.monotonic()
            trainer.save_checkpoint(self._draft)
            self._written, self._begun = self._step, time.monotonic()
            self._cost = self._begun - begun

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """A run that was stopped early would not know, going on from here, that it was."""
        if not trainer.should_stop:
            self._count()

    @property
    def _draft(self) -> Path:
        return self.folder.checkpoints / "state.draft"

    def _is_due(self, trainer: lightning.Trainer) -> bool:
        elapsed = time.monotonic() - self._begun
        by_time = elapsed >= max(self._seconds, self._cost / _SHARE)
        return by_time or self._step % self.every == 0 or self._step == trainer.max_steps

    def _count(self) -> None:
        if self._written != self._counts:
            self._counts = self._written
            if self.claim is not None:
                begun = time.monotonic()
                self.claim.require_held(on_disk=True)
                self.folder.add_checkpoint(self._draft, self._counts)
                self._cost += time.monotonic() - begun
            self.interruption.done = f"step {self._counts} is kept"

    def _end(self, trainer: lightning.Trainer) -> None:
        """Do what the signal asks for, the other processes of a run on several devices first.

        Lightning kills the first process at once if another one ends with a code that is not 0; the code of the command
        is that of the first.
        """
        number, self._signal = self._signal, 0
        if self.claim is None and is_child():
            os._exit(0)
        for process in getattr(trainer.strategy.launcher, "procs", ()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        self.interruption.end(number)


def _agree(trainer: lightning.Trainer, signal: int, due: bool) -> tuple[int, bool]:
    """The signal that any of the processes noted, and whether a state is due in any of them."""
    if trainer.world_size == 1:
        return signal, due
    ours = torch.tensor([signal, due], device=trainer.strategy.root_device)
    agreed = trainer.strategy.reduce(ours, reduce_op="max").tolist()
    return int(agreed[0]), bool(agreed[1])
