"""Work of zoo: a model, rows of packed documents from its data pipeline, and the step of its training."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from experiments.speed.shapes import Shape, list_overrides
from zoo.components.objective.causal_lm import CausalLm
from zoo.data.interfaces import Vocabulary
from zoo.data.ragged import RaggedArray
from zoo.data.rows import PackedDocuments
from zoo.model.inputs import Inputs
from zoo.model.objective import Objective, View
from zoo.model.variants.variant import Variant
from zoo.training.batches import Share, TrainingBatches
from zoo.training.optimizer import build_optimizer

BATCHES = 4  # different batches that steps take in turn, so that nothing of a step can be kept for the next
CLIP = 1.0
_PRECISIONS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "32-true": contextlib.nullcontext,
    "bf16-mixed": partial(torch.autocast, "cpu", torch.bfloat16),
}
make_adamw = partial(torch.optim.AdamW, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)


@dataclass(frozen=True)
class Batches:
    """The same tokens twice.

    Attributes:
        packed: as zoo's training gets them: rows of packed documents with their segments.
        plain: without segments; every token is a target.
    """

    packed: tuple[View, ...]
    plain: tuple[View, ...]


def make_objective(shape: Shape) -> Objective:
    """Makes causal language modeling, with a vocabulary whose first three tokens are special."""
    return CausalLm(shape.dim, Vocabulary(shape.vocabulary, pad=0, bos=1, eos=2), "decoder")


def make_batches(shape: Shape, count: int = BATCHES, seed: int = 0) -> Batches:
    """Draws documents of an eighth to five quarters of a row, and packs and prepares them as zoo's training does."""
    draw, total = np.random.default_rng(seed), (count + 2) * shape.tokens
    lengths = draw.integers(max(2, shape.length // 8), 5 * shape.length // 4 + 1, total)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    offsets = offsets[: np.searchsorted(offsets, total) + 1]
    stream = RaggedArray(draw.integers(3, shape.vocabulary, offsets[-1]), offsets)
    stream.values[offsets[:-1]], stream.values[offsets[1:] - 1] = 1, 2
    rows, objective = PackedDocuments(stream, shape.length, 0, int(offsets[-1])), make_objective(shape)
    prepared = TrainingBatches(rows, objective, shape.batch, 1, seed, 0, Share())
    packed = tuple(batch.view for batch in itertools.islice(prepared, count))
    return Batches(packed, tuple(map(_drop_segments, packed)))


def _drop_segments(view: View) -> View:
    return View(Inputs(view.inputs.tokens), view.targets, torch.ones_like(view.valid))


def build_model(family: str, shape: Shape, *overrides: str) -> Variant:
    """Builds a model of zoo; the later overrides win."""
    return zoo.build(*list_overrides(family, shape), *overrides)


def perturb(model: nn.Module, seed: int = 0) -> None:
    """Moves every weight away from its first value, so that no part of the model is without effect on its logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.05)


def make_zoo_step(
    model: Variant, objective: Objective, views: Iterable[View], precision: str = "32-true"
) -> Callable[[], Tensor]:
    """Makes a training step of zoo without Lightning: loss, backward, clipping, optimizer, update of components.

    Args:
        model: the model.
        objective: its objective.
        views: inputs and targets, taken in turn.
        precision: ``32-true`` or ``bf16-mixed``, by which Lightning computes the loss.
    """
    module = nn.ModuleDict({"model": model.train(), "objective": objective})
    optimizer = build_optimizer(module, model.initialization, make_adamw)
    components, turn = model.list_components(), itertools.cycle(views)

    def compute_loss() -> Tensor:
        with _PRECISIONS[precision]():
            return _sum_terms(next(turn))

    def _sum_terms(view: View) -> Tensor:
        terms = [*objective.loss(model, view).values(), *(term for _, term, _ in model.losses())]
        return torch.stack(terms).sum()

    step = _make_step(list(module.parameters()), optimizer, compute_loss)

    def step_and_update() -> Tensor:
        loss = step()
        for component in components:
            component.update_after_step()
        return loss

    return step_and_update


def make_plain_step(
    model: nn.Module, compute_logits: Callable[[Tensor], Tensor], views: tuple[View, ...]
) -> Callable[[], Tensor]:
    """Makes the same step of a peer: cross-entropy of all logits, and matrices that decay."""
    weights = list(model.train().parameters())
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in weights if weight.ndim > 1]},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    turn: Iterator[View] = itertools.cycle(views)

    def compute_loss() -> Tensor:
        view = next(turn)
        return F.cross_entropy(compute_logits(view.inputs.tokens).flatten(0, 1), view.targets.flatten())

    return _make_step(weights, make_adamw(groups), compute_loss)


def _make_step(
    weights: list[nn.Parameter], optimizer: torch.optim.Optimizer, compute_loss: Callable[[], Tensor]
) -> Callable[[], Tensor]:
    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = compute_loss()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
        return loss.detach()

    return step
