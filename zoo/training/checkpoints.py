"""Training states on disk, to go on from after an interruption."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from zoo.training.claim import Claim
from zoo.training.folder import RunFolder

_log = logging.getLogger("zoo")


def find_checkpoint(folder: RunFolder, *, main: bool) -> tuple[Path | None, int]:
    """The newest training state that is as it was written, and the steps that were done by then; None and 0 without.

    Args:
        folder: of the run.
        main: if this process writes in the folder: it says what is damaged, and sets it aside.
    """
    for path in folder.newest_checkpoints():
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

    Args:
        folder: of the run.
        every: steps between states.
        resumed: the step that the run goes on from.
        claim: the right to write; None in the further processes of a run on several devices.
    """

    def __init__(self, folder: RunFolder, every: int, resumed: int, claim: Claim | None) -> None:
        self.folder, self.every, self.claim = folder, every, claim
        self._written = self._counts = resumed

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """All of the step before is done."""
        if self.claim is not None:
            self.claim.check()
        self._count()

    def on_validation_batch_start(self, *_: Any) -> None:
        """An evaluation may take long."""
        if self.claim is not None:
            self.claim.check()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Write the state, after the last micro-batch of a step."""
        if trainer.global_step % self.every == 0 and trainer.global_step != self._written:
            trainer.save_checkpoint(self._draft)
            self._written = trainer.global_step

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """A run that was stopped early would not know, going on from here, that it was."""
        if not trainer.should_stop:
            self._count()

    @property
    def _draft(self) -> Path:
        return self.folder.checkpoints / "state.draft"

    def _count(self) -> None:
        if self._written != self._counts:
            self._counts = self._written
            if self.claim is not None:
                self.claim.check(surely=True)
                self.folder.add_checkpoint(self._draft, self._counts)
