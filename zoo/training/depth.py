"""Activations and gradients by depth: what a layer hands on, and what comes back to it."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from zoo.stack import Layer
from zoo.training.module import Training


class Depth(Callback):
    """Logs two numbers of each layer's output at the first step and at those before an evaluation.

    ``depth/activation/<stack>/<layer>`` is the root of the mean of its squares, ``depth/gradient/<stack>/<layer>`` the
    norm of the loss's gradient with respect to it: of the last micro-batch, on the first device.

    Args:
        every: steps between evaluations.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._hooks: list[RemovableHandle] = []
        self._outputs: dict[str, list[Tensor]] = {}
        self._gradients: dict[str, dict[int, Tensor]] = {}

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Listen, if this step is one to be logged."""
        done = trainer.global_step
        if not isinstance(pl_module, Training) or (done and (done + 1) % self.every):
            return
        for name, stack in pl_module.model.stacks().items():
            self._outputs[name], self._gradients[name] = [], {}
            for layer in stack.distinct():
                self._hooks.append(layer.register_forward_hook(self._listener(name, stack.depth)))

    def _listener(self, stack: str, depth: int) -> Any:
        """A hook that keeps the size of an output, and of the gradient that will come back to it.

        Layers that share weights are called once a depth; a second pass of the same step is not listened to.
        """

        def hear(layer: Layer, given: Any, output: Tensor) -> None:
            sizes, gradients = self._outputs[stack], self._gradients[stack]
            number = len(sizes)
            if number == depth:
                return
            sizes.append(output.detach().float().square().mean().sqrt())
            if output.requires_grad:
                keep = partial(_keep_norm, gradients, number)
                output.register_hook(keep)  # type: ignore[no-untyped-call]

        return hear

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log what was heard."""
        if not self._hooks:
            return
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        scale = 1.0 if scaler is None else float(scaler.get_scale())
        found: dict[str, float] = {}
        for name, sizes in self._outputs.items():
            found |= {f"depth/activation/{name}/{i}": float(size) for i, size in enumerate(sizes)}
            norms = sorted(self._gradients[name].items())
            found |= {f"depth/gradient/{name}/{i}": float(norm) / scale for i, norm in norms}
        finite = {key: value for key, value in found.items() if torch.isfinite(torch.tensor(value))}
        for logger in trainer.loggers:
            logger.log_metrics(finite, step=trainer.global_step)


def _keep_norm(norms: dict[int, Tensor], number: int, gradient: Tensor) -> None:
    norms[number] = gradient.detach().float().norm()
