"""The LightningModule that trains a model on an objective."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from zoo.model.objective import Objective, View
from zoo.model.variants.variant import Variant
from zoo.training.batches import SOURCE, TOKENS, MicroBatch
from zoo.training.evaluation import Evaluation
from zoo.training.optimizer import build_optimizer
from zoo.training.random_streams import derive_seed
from zoo.training.sharded_strategy import ShardedStrategy, find_share

_LOOK_EVERY = 10  # steps between checks for a finite loss, each of which synchronizes with the device
MakeOptimizer = Callable[[Iterable[dict[str, Any]]], Optimizer]


class Training(lightning.LightningModule):
    """Trains a model on an objective, and counts tokens and seconds.

    Args:
        model: the model to train.
        objective: the training objective; its own parameters are trained too.
        evaluation: metrics on the validation split.
        optimizer: makes an optimizer from parameter groups.
        schedule: factor of the learning rate at a step.
        seed: seed of dropout.
    """

    def __init__(
        self,
        model: Variant,
        objective: Objective,
        evaluation: Evaluation,
        optimizer: MakeOptimizer,
        schedule: Callable[[int], float],
        seed: int,
    ) -> None:
        super().__init__()
        self.model, self.objective, self.evaluation = model, objective, evaluation
        if not objective.uses_head:
            model.freeze_head()
        model.freeze_pooler()
        self._optimizer, self._schedule, self._seed = optimizer, schedule, seed
        self.tokens, self.seconds, self.diverged = torch.zeros((), dtype=torch.long), 0.0, False
        self.evaluated: dict[str, float] = {}
        self._begun = 0.0
        self._of_step: dict[str, Tensor] = {}  # counts of terms and tokens over all micro-batches and devices
        self._terms: dict[str, Tensor] = {}  # sums over the micro-batches of the step so far, on this device
        self._loss = torch.zeros(())

    # ---------------------------------------------------------------------------------------------------- training

    def on_train_batch_start(self, batch: MicroBatch, batch_idx: int) -> None:
        """Seeds dropout, so that it depends only on seed, micro-batch and device, and counts tokens."""
        torch.manual_seed(derive_seed(self._seed, "dropout", batch_idx, find_share(self.trainer).rank))
        self._begun = time.perf_counter()
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self._of_step, self._terms = self._sum_over_devices(batch.of_step), {}
            self.tokens = self.tokens + self._of_step[TOKENS] + self._of_step[SOURCE]

    def training_step(self, batch: MicroBatch, batch_idx: int) -> Tensor:
        """Returns the share of a micro-batch in the loss of the step.

        A term is a mean over items (tokens, say), weighted by the share of the items of the step that this micro-batch
        has: the sum over all micro-batches and devices is the mean over the step. Lightning divides by the number of
        micro-batches, and data-parallel strategies by the number of devices, so both are multiplied back.
        """
        shares = []
        for name, term, counted in self._list_terms(batch.view):
            shares.append(term * (batch.counts[counted] / self._of_step[counted].clamp(min=1)))
            self._terms[name] = self._terms.get(name, 0.0) + shares[-1].detach()
        micro_batches = self.trainer.accumulate_grad_batches
        if (batch_idx + 1) % micro_batches == 0:
            self._log_loss(self._sum_over_devices(self._terms))
        return torch.stack(shares).sum() * micro_batches * find_share(self.trainer).world

    def _list_terms(self, view: View) -> Iterator[tuple[str, Tensor, str]]:
        """Yields name and mean of each loss term, and the name of its count."""
        yield from ((name, term, name) for name, term in self.objective.loss(self.model, view).items())
        yield from ((name, term, SOURCE if source else TOKENS) for name, term, source in self.model.losses())

    def _sum_over_devices(self, numbers: Mapping[str, float | Tensor]) -> dict[str, Tensor]:
        """Sums numbers over devices by name; does not synchronize with the CPU."""
        here = torch.stack([torch.as_tensor(number, device=self.device) for number in numbers.values()])
        return dict(zip(numbers, self.trainer.strategy.reduce(here, reduce_op="sum").unbind(), strict=True))

    def _log_loss(self, terms: dict[str, Tensor]) -> None:
        """Logs the loss of a step, over all its micro-batches and devices."""
        self._loss = torch.stack(list(terms.values())).sum()
        self.log("train/loss", self._loss, prog_bar=True, batch_size=1)
        if len(terms) > 1:
            self.log_dict({f"train/{name}": term for name, term in terms.items()}, batch_size=1)

    def on_train_batch_end(self, outputs: Any, batch: MicroBatch, batch_idx: int) -> None:
        """Logs throughput, and stops a diverged training."""
        self.seconds += time.perf_counter() - self._begun
        rate = self.tokens / self.seconds
        self.log("train/tokens_per_second", rate, prog_bar=True, batch_size=1)
        self._log_progress()
        if self.global_step % _LOOK_EVERY == 0 and (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0:
            self.diverged = not bool(torch.isfinite(self._loss))
            self.trainer.should_stop |= self.diverged

    def optimizer_step(self, *given: Any, **more: Any) -> None:
        """Takes an optimizer step and calls ``update_after_step`` of all components, before a checkpoint is saved."""
        super().optimizer_step(*given, **more)
        for component in self.model.list_components():
            component.update_after_step()

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips gradients by their norm, and logs the norm before clipping."""
        limit = math.inf if gradient_clip_val is None else gradient_clip_val
        strategy = self.trainer.strategy
        if isinstance(strategy, ShardedStrategy):
            norm = strategy.clip_gradients(limit)
        else:
            norm = nn.utils.get_total_norm([each.grad for each in self.parameters() if each.grad is not None])
            if norm.device.type != "cpu" or not norm + 1e-6 <= limit:  # a factor of 1 costs a pass over all gradients
                nn.utils.clip_grads_with_norm_(self.parameters(), limit, norm)
        self.log("train/gradient_norm", norm, batch_size=1)
        self.log("train/learning_rate", optimizer.param_groups[0]["lr"], batch_size=1)

    def configure_model(self) -> None:
        """Splits the parameters over devices, if the strategy does so."""
        if isinstance(self.trainer.strategy, ShardedStrategy):
            self.trainer.strategy.shard(self)

    def configure_optimizers(self) -> Any:
        """Returns the optimizer and the schedule, which moves at every step.

        Matrices and tables decay, vectors do not (:mod:`zoo.training.optimizer`).
        """
        optimizer = build_optimizer(self, self.model.initialization, self._optimizer)
        return [optimizer], [{"scheduler": LambdaLR(optimizer, self._schedule), "interval": "step"}]

    # -------------------------------------------------------------------------------------------------- validation

    def validation_step(self, batch: View, batch_idx: int) -> None:
        """Accumulates the metrics of one batch."""
        self.evaluation.update(*self.objective.predict_deferred(self.model, batch), batch)

    def on_validation_epoch_end(self) -> None:
        """Computes and logs the metrics of the whole split."""
        self.evaluated = self.evaluation.compute()
        self.log_dict({f"validation/{name}": value for name, value in self.evaluated.items()}, rank_zero_only=True)
        self._log_progress()

    # -------------------------------------------------------------------------------------------------------- state

    def transfer_batch_to_device(
        self, batch: MicroBatch | View, device: torch.device, dataloader_idx: int
    ) -> MicroBatch | View:
        """Moves a batch to a device."""
        return batch.to(device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Saves tokens and seconds, which a resumed run continues to count."""
        checkpoint["progress"] = {"tokens": int(self.tokens), "seconds": self.seconds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores tokens and seconds."""
        self.tokens, self.seconds = torch.tensor(checkpoint["progress"]["tokens"]), checkpoint["progress"]["seconds"]

    def _log_progress(self) -> None:
        facts: dict[str, float | Tensor] = {"step": float(self.global_step), "seconds": self.seconds}
        self.log_dict(facts | {"tokens": self.tokens.float()}, batch_size=1, rank_zero_only=True)
