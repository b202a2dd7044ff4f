"""Activations and gradients by depth: what a layer hands on, and what comes back to it."""

from __future__ import annotations

import math
from functools import partial
from itertools import count
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from zoo.model.stack import Layer
from zoo.training.lightning_module import Training


class Depth(Callback):
    """Logs two numbers of each layer's output at the first step and at those before an evaluation.

    ``depth/activation/<stack>/<layer>`` is the root of the mean of its squares, ``depth/gradient/<stack>/<layer>`` the
    norm of the loss's gradient with respect to it: over all real tokens of the step, of all micro-batches and devices.

    Args:
        every: steps between evaluations.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._hooks: list[RemovableHandle] = []
        self._sums: dict[str, Tensor] = {}  # of squares, by what they are of; and of how many there are

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Listen, if this step is one to be logged."""
        done = trainer.global_step
        if not isinstance(pl_module, Training) or (done and (done + 1) % self.every):
            return
        for name, stack in pl_module.model.stacks().items():
            hear = self._listener(name, stack.depth)
            self._hooks += [layer.register_forward_hook(hear) for layer in stack.distinct()]

    def _listener(self, stack: str, depth: int) -> Any:
        """A hook that keeps the size of an output, and of the gradient that will come back to it.

        Layers that share weights are called once a depth; a second pass of the same micro-batch is not listened to.
        """
        called = count()

        def hear(layer: Layer, given: Any, output: Tensor) -> None:
            if (number := next(called)) >= depth:
                return
            segment = given[1].query.segment  # of the mask
            real = output if segment is None else output[(segment >= 0).expand(output.shape[:2])]
            self._add(f"depth/activation/{stack}/{number}", real)
            self._add(f"count/{stack}/{number}", torch.ones((), device=output.device), real.numel())
            if output.requires_grad:
                keep = partial(self._add, f"depth/gradient/{stack}/{number}")
                output.register_hook(keep)  # type: ignore[no-untyped-call]

        return hear

    def _add(self, name: str, values: Tensor, times: int = 1) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + values.detach().float().square().sum() * times

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log what was heard, after the last micro-batch."""
        if not self._hooks:
            return
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        names = sorted(self._sums)
        here = torch.stack([self._sums[name] for name in names])
        sums = dict(zip(names, trainer.strategy.reduce(here, reduce_op="sum").tolist(), strict=True))
        self._sums.clear()
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        # The loss is scaled in float16, and multiplied with the number of devices for their mean to be a sum.
        scale = trainer.world_size * (1.0 if scaler is None else float(scaler.get_scale()))
        found = {name: self._root(name, sums, scale) for name in names if name.startswith("depth/")}
        for logger in trainer.loggers:
            logger.log_metrics({name: x for name, x in found.items() if math.isfinite(x)}, step=trainer.global_step)

    @staticmethod
    def _root(name: str, sums: dict[str, float], scale: float) -> float:
        """The norm of a gradient, or the root mean square of an activation."""
        if name.startswith("depth/gradient/"):
            return math.sqrt(sums[name]) / scale
        return math.sqrt(sums[name] / sums[name.replace("depth/activation/", "count/")])
