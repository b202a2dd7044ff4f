"""Statistics of activations and gradients by depth."""

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
from zoo.training.sharded_strategy import find_share


class DepthStatistics(Callback):
    """Logs two statistics of the output of each layer, at the first step and at steps before an evaluation.

    ``depth/activation/<stack>/<layer>`` is the root mean square of the output, ``depth/gradient/<stack>/<layer>`` the
    norm of the gradient of the loss with respect to it; both over all non-padding tokens of the step, over all
    micro-batches and devices.

    Args:
        every: steps between evaluations.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._hooks: list[RemovableHandle] = []
        self._sums: dict[str, Tensor] = {}  # sums of squares by metric, and numbers of elements

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Registers hooks if this step is to be logged."""
        done = trainer.global_step
        if not isinstance(pl_module, Training) or (done and (done + 1) % self.every):
            return
        for name, stack in pl_module.model.get_stacks().items():
            record = self._make_hook(name, stack.depth)
            self._hooks += [layer.register_forward_hook(record) for layer in stack.list_distinct_layers()]

    def _make_hook(self, stack: str, depth: int) -> Any:
        """Makes a hook that records the output of a layer, and its gradient.

        A layer with shared weights is called once per depth; a second pass of the same micro-batch is not recorded.
        """
        called = count()

        def record(layer: Layer, given: Any, output: Tensor) -> None:
            if (number := next(called)) >= depth:
                return
            segment = given[1].query.segment  # [batch, length], from the mask
            real = output if segment is None else output[(segment >= 0).expand(output.shape[:2])]
            self._add(f"depth/activation/{stack}/{number}", real)
            self._add(f"count/{stack}/{number}", torch.ones((), device=output.device), real.numel())
            if output.requires_grad:
                keep = partial(self._add, f"depth/gradient/{stack}/{number}")
                output.register_hook(keep)  # type: ignore[no-untyped-call]

        return record

    def _add(self, name: str, values: Tensor, times: int = 1) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + values.detach().float().square().sum() * times

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs the statistics after the last micro-batch."""
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
        # The loss is scaled in float16, and multiplied by the number of devices, so that DDP's mean becomes a sum.
        scale = find_share(trainer).world * (1.0 if scaler is None else float(scaler.get_scale()))
        found = {name: self._compute_norm(name, sums, scale) for name in names if name.startswith("depth/")}
        for logger in trainer.loggers:
            logger.log_metrics({name: x for name, x in found.items() if math.isfinite(x)}, step=trainer.global_step)

    @staticmethod
    def _compute_norm(name: str, sums: dict[str, float], scale: float) -> float:
        """Computes the norm of a gradient, or the root mean square of an activation."""
        if name.startswith("depth/gradient/"):
            return math.sqrt(sums[name]) / scale
        return math.sqrt(sums[name] / sums[name.replace("depth/activation/", "count/")])
