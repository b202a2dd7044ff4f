"""Progress of a run: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar

from zoo.system.terminal import say


def make_progress_bar(label: str, steps: int) -> Callback:
    """Makes a progress bar for a terminal that nothing else writes to, else a callback that prints lines.

    Args:
        label: name of the run among others that share the terminal; empty if it is alone.
        steps: number of steps.
    """
    redraws = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return RichBar() if redraws and not label else ProgressLines(label, steps)


class RichBar(RichProgressBar):
    """Lightning's progress bar over steps, with loss and tokens per second."""

    def __init__(self) -> None:
        super().__init__(leave=True)

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """Returns the logged loss and throughput as formatted text."""
        metrics = super().get_metrics(trainer, pl_module)
        shown = {"train/loss": ("loss", ".3f"), "train/tokens_per_second": ("tokens/s", ",.0f")}
        return {name: format(metrics[key], form) for key, (name, form) in shown.items() if key in metrics}

    def _get_train_description(self, current_epoch: int) -> str:
        """Returns a description without an epoch, because training is measured in steps."""
        return "training"


class ProgressLines(Callback):
    """Prints step, loss, throughput and remaining time, at most one line every ``every`` seconds."""

    def __init__(self, label: str, steps: int, every: float = 5.0) -> None:
        self.label, self.steps, self.every = label, steps, every
        self._last = self._begun = 0.0
        self._first = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Starts the clock."""
        self._begun = self._last = time.monotonic()
        self._first = trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Prints a line if one is due."""
        now = time.monotonic()
        done = trainer.global_step - self._first
        if (
            trainer.is_global_zero and now - self._last >= self.every and done
        ):  # the first step has no loss before it is complete
            self._last = now
            left = (now - self._begun) / done * (self.steps - trainer.global_step)
            metrics = trainer.callback_metrics
            loss = float(metrics.get("train/loss", float("nan")))
            rate = float(metrics.get("train/tokens_per_second", 0.0))
            head = f"{self.label}  " if self.label else ""
            line = f"step {trainer.global_step}/{self.steps}  loss {loss:.3f}  {rate:,.0f} tokens/s  {left:.0f} s left"
            say(head + line, file=sys.stderr, flush=True)
