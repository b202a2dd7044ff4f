"""Training itself: gradients, clipping, decay, schedule, tokens, divergence; against plain torch."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from zoo.build import assemble
from zoo.checking import Checked, make_objective
from zoo.data.order import indices
from zoo.training import run as run_module
from zoo.training.module import Training
from zoo.training.run import prepare_data
from zoo.training.streams import generator, stream

Trained = Callable[[Checked], tuple[Path, dict[str, Any]]]


class Watch(Callback):
    """Keeps what each step saw: gradients after clipping, what is logged, groups of the optimiser."""

    def __init__(self) -> None:
        self.weights: list[list[torch.Tensor]] = []
        self.gradients: list[list[torch.Tensor]] = []
        self.logged: list[dict[str, float]] = []
        self.groups: list[Any] = []

    def on_train_start(self, trainer: Any, module: Training) -> None:
        self.weights.append([p.detach().clone() for p in module.parameters()])

    def on_train_batch_end(self, trainer: Any, module: Training, *_: Any) -> None:
        self.weights.append([p.detach().clone() for p in module.parameters()])
        self.gradients.append([p.grad.detach().clone() for p in module.parameters()])
        self.logged.append({k: float(v) for k, v in trainer.callback_metrics.items()})
        self.groups = trainer.optimizers[0].param_groups


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watching = Watch()
    made = run_module._made

    def with_watch(*given: Any) -> Any:
        *others, callbacks = made(*given)
        return *others, [*callbacks, watching]

    monkeypatch.setattr(run_module, "_made", with_watch)
    return watching


def plain(config: Checked) -> Any:
    """The run's model, with its first weights, and its prepared data and objective."""
    prepared = prepare_data(config.config)
    assert config.plan is not None
    torch.manual_seed(stream(config.config["seed"], "weights"))
    return assemble(config.plan, prepared.vocabulary.size), prepared, make_objective(config.config, prepared.vocabulary)


def test_three_steps_equal_a_plain_loop(documents: Callable[..., Checked], trained: Trained, watch: Watch) -> None:
    """Masked tokens, dropout, accumulation, clipping, decay and schedule, each with its stream."""
    config = documents(
        "model.variant=encoder", "model.dropout=0.1", "accumulate=2", "steps=3", "clip=0.5", "optimizer.fused=false"
    )
    trained(config)
    model, prepared, objective = plain(config)
    seed = config.config["seed"]
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    model.train()
    for step in range(3):
        for micro in (2 * step, 2 * step + 1):
            rows = prepared.train.batch(indices(len(prepared.train), 8, stream(seed, "order"), micro))
            view = objective.prepare(rows, generator(seed, "objective", micro, 0))
            torch.manual_seed(stream(seed, "dropout", micro, 0))
            (objective.loss(model, view)["cross_entropy"] / 2).backward()
        total = math.sqrt(sum(float(p.grad.double().pow(2).sum()) for p in model.parameters()))
        assert watch.logged[2 * step + 1]["train/gradient_norm"] == pytest.approx(total, rel=1e-4)
        for p in model.parameters():
            p.grad *= min(1.0, 0.5 / total)
        rate = 1e-3 * (0.1 + 0.9 * (1 + math.cos(math.pi * step / 3)) / 2)
        assert watch.logged[2 * step + 1]["train/learning_rate"] == pytest.approx(rate)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        for mine, theirs in zip(model.parameters(), watch.weights[2 * step + 2], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_two_halves_of_a_batch_equal_the_whole(pairs: Callable[..., Checked], trained: Trained, watch: Watch) -> None:
    """Of equally many asked tokens: the mean of two means is the mean of all."""
    same = ["data.limit=100", "clip=null", "optimizer._target_=torch.optim.SGD", "optimizer.lr=1.0", "steps=1"]
    gone = ["~optimizer.betas", "~optimizer.eps", "optimizer.weight_decay=0.0", "schedule=constant"]
    spelled = ["data.source=english", "data.target=digits", "data.validation=0.5"]
    for runs, size in {"whole": ["batch=8"], "halves": ["batch=4", "accumulate=2"]}.items():
        trained(pairs(*same, *gone, *spelled, *size, runs=runs))
    whole, halves = (watch.gradients[0], watch.gradients[-1])
    config = pairs(*same, *gone, *spelled, "batch=4")
    _, prepared, objective = plain(config)
    rows = [indices(len(prepared.train), 4, stream(0, "order"), number) for number in (0, 1)]
    asked = [int(objective.prepare(prepared.train.batch(row), torch.Generator()).valid.sum()) for row in rows]
    model, _, _ = plain(config)
    views = [objective.prepare(prepared.train.batch(row), torch.Generator()) for row in rows]
    means = []
    for view in views:
        model.zero_grad()
        objective.loss(model, view)["cross_entropy"].backward()
        means.append([p.grad.clone() for p in model.parameters()])
    share = asked[0] / sum(asked)
    for one, two, first, second in zip(whole, halves, *means, strict=True):
        torch.testing.assert_close(two, (first + second) / 2, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(one, share * first + (1 - share) * second, rtol=1e-4, atol=1e-6)


def test_clipping_leaves_a_norm_of_clip(documents: Callable[..., Checked], trained: Trained, watch: Watch) -> None:
    trained(documents("steps=2", "clip=0.01"))
    for gradients in watch.gradients[:2]:
        norm = torch.nn.utils.get_total_norm(gradients)
        assert float(norm) == pytest.approx(0.01, rel=1e-3)
    assert watch.logged[0]["train/gradient_norm"] > 0.1


def test_matrices_decay_and_vectors_do_not(documents: Callable[..., Checked], trained: Trained, watch: Watch) -> None:
    """Whatever their shape: λ of differential attention is a pair of vectors, biases of experts are stacked."""
    trained(documents("steps=1", "model/attention=differential", "model/ffn=moe", "model.ffn.bias=true"))
    decay, none = watch.groups
    assert decay["weight_decay"] == 0.1
    assert none["weight_decay"] == 0.0
    stacked = [tuple(p.shape) for p in none["params"] if p.ndim > 1]
    assert stacked == [(2, 16), (2, 16), (4, 32), (4, 32), (4, 32)], "λ, and the biases of four experts"
    assert {p.ndim for p in decay["params"]} == {2, 3}
    assert len(decay["params"]) + len(none["params"]) == len(watch.weights[0])


def test_tokens_are_those_that_are_read(pairs: Callable[..., Checked], trained: Trained) -> None:
    """Of an encoder-decoder both rows count, and padding does not."""
    config = pairs("model.variant=encoder_decoder", "steps=3", "accumulate=2")
    _, result = trained(config)
    prepared = prepare_data(config.config)
    expected = 0
    for number in range(6):
        batch = prepared.train.batch(indices(len(prepared.train), 8, stream(0, "order"), number))
        expected += int((batch.source_length + 1).sum() + batch.target_length.sum())
    assert result["tokens"] == expected


def test_the_loss_goes_down(pairs: Callable[..., Checked], trained: Trained) -> None:
    config = pairs("steps=80", "evaluate=20", "optimizer.lr=0.01")
    path, result = trained(config)
    lines = csv.DictReader((path / "metrics.csv").read_text().splitlines())
    losses = [float(line["validation/loss"]) for line in lines if line["validation/loss"]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 1.2
    assert losses[0] < math.log(prepare_data(config.config).vocabulary.size)
    assert result["metrics"]["token_accuracy"] > 0.4
    assert result["diverged"] is False


@pytest.mark.parametrize("steps", [4, 30])
def test_a_run_that_diverges_says_so(steps: int, documents: Callable[..., Checked], trained: Trained) -> None:
    many = [
        "optimizer._target_=torch.optim.SGD",
        "~optimizer.betas",
        "~optimizer.eps",
        "optimizer.lr=1e30",
        "clip=null",
    ]
    _, result = trained(documents(*many, f"steps={steps}", "evaluate=100"))
    assert result["diverged"] is True
    assert result["metrics"]["loss"] is None
    assert result["steps"] == min(steps, 10)
    assert result["tokens"] > 0
