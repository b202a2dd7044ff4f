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
from safetensors.torch import load_file

from zoo.config.checking import CheckedConfig
from zoo.config.data_and_objective import make_objective
from zoo.data.row_order import draw_row_indices
from zoo.model.build import assemble
from zoo.runs.run_result import RunResult
from zoo.training import run as run_module
from zoo.training.lightning_module import Training
from zoo.training.random_streams import derive_seed, make_generator
from zoo.training.run import prepare_data

Trained = Callable[[CheckedConfig], tuple[Path, RunResult]]


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
    made = run_module._build_parts

    def with_watch(*given: Any) -> Any:
        *others, callbacks = made(*given)
        return *others, [*callbacks, watching]

    monkeypatch.setattr(run_module, "_build_parts", with_watch)
    return watching


def plain(config: CheckedConfig) -> Any:
    """The run's model, with its first weights, and its prepared data and objective."""
    prepared = prepare_data(config.config)
    assert config.plan is not None
    torch.manual_seed(derive_seed(config.config.seed, "weights"))
    return assemble(config.plan, prepared.vocabulary.size), prepared, make_objective(config.config, prepared.vocabulary)


def view_of(config: CheckedConfig, prepared: Any, objective: Any, batch: int, number: int) -> Any:
    """A batch of a run, whose rows draw by their numbers in the order of the data."""
    seed = config.config.seed
    rows = draw_row_indices(len(prepared.train), batch, derive_seed(seed, "order"), number)
    drawn = [make_generator(seed, "objective", row) for row in range(number * batch, (number + 1) * batch)]
    return objective.prepare(prepared.train.get_batch(rows), drawn)


def test_three_steps_equal_a_plain_loop(
    documents: Callable[..., CheckedConfig], trained: Trained, watch: Watch
) -> None:
    """Masked tokens, dropout, accumulation, clipping, decay and schedule, each with its stream."""
    config = documents(
        "model.variant=encoder", "model.dropout=0.1", "accumulate=2", "steps=3", "clip=0.5", "optimizer.fused=false"
    )
    trained(config)
    model, prepared, objective = plain(config)
    seed = config.config.seed
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    model.train()
    for step in range(3):
        views = [view_of(config, prepared, objective, 8, micro) for micro in (2 * step, 2 * step + 1)]
        asked = [int(view.valid.sum()) for view in views]
        assert asked[0] != asked[1]
        for micro, view in enumerate(views):
            torch.manual_seed(derive_seed(seed, "dropout", 2 * step + micro, 0))
            (objective.loss(model, view)["cross_entropy"] * asked[micro] / sum(asked)).backward()
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


DIVISIONS = {"whole": ["batch=8"], "halves": ["batch=4", "accumulate=2"], "rows": ["batch=1", "accumulate=8"]}
DESCENT = ["optimizer._target_=torch.optim.SGD", "~optimizer.betas", "~optimizer.eps", "optimizer.weight_decay=0.0"]
ONE_STEP = ["clip=null", *DESCENT, "optimizer.lr=1.0", "schedule=constant", "steps=1"]


def after(watch: Watch, name: str) -> tuple[list[torch.Tensor], dict[str, float]]:
    """Weights after the step of a division that was just trained, and what was logged of it."""
    weights, logged = watch.weights[-1], watch.logged[-1]
    assert len(watch.logged) == (1 if name == "whole" else 2 if name == "halves" else 8)
    for kept in (watch.weights, watch.gradients, watch.logged):
        kept.clear()
    return weights, logged


def test_a_step_is_the_mean_over_its_asked_tokens(
    pairs: Callable[..., CheckedConfig], trained: Trained, watch: Watch
) -> None:
    """However the batch is divided, against a loop over tokens; with smoothing and z-loss, and targets of many lengths.

    Negative control: the mean of the micro-batches' means is another step.
    """
    asks = [
        "model.variant=encoder_decoder",
        "objective=seq2seq",
        "objective.label_smoothing=0.1",
        "objective.z_loss=0.01",
    ]
    same = [*ONE_STEP, *asks, "data.limit=100", "data.source=digits", "data.target=english", "data.validation=0.5"]
    config = pairs(*same, "batch=8")
    model, prepared, objective = plain(config)
    view = view_of(config, prepared, objective, 8, 0)
    logits = model.logits(model.compute_hidden(view.inputs))
    size = logits.shape[-1]
    rows: list[list[torch.Tensor]] = []
    for row in range(8):
        rows.append([])
        for place in view.valid[row].nonzero()[:, 0].tolist():
            log = logits[row, place].log_softmax(-1)
            smooth = 0.9 * log[view.targets[row, place]] + 0.1 * log.sum() / size
            rows[-1].append(0.01 * logits[row, place].logsumexp(-1) ** 2 - smooth)
    tokens = [token for row in rows for token in row]
    loss = torch.stack(tokens).mean()
    means = torch.stack([torch.stack(row).mean() for row in rows]).mean()
    gradients, others = (
        torch.autograd.grad(value, list(model.parameters()), retain_graph=True) for value in (loss, means)
    )
    assert max((one - other).norm() / one.norm() for one, other in zip(gradients, others, strict=True)) > 0.05
    for name, size in DIVISIONS.items():
        trained(pairs(*same, *size, runs=name))
        weights, logged = after(watch, name)
        for one, first, gradient in zip(weights, model.parameters(), gradients, strict=True):
            torch.testing.assert_close(one, first - gradient, rtol=1e-4, atol=1e-6)
        assert logged["train/loss"] == pytest.approx(float(loss), rel=1e-5)


def test_all_terms_and_the_load_of_experts_are_those_of_the_step(
    documents: Callable[..., CheckedConfig], trained: Trained, watch: Watch
) -> None:
    """An objective of two terms, whose rows need partners, and a router with everything that it can have."""
    router = "{score: sigmoid, aux_loss: 0.5, z_loss: 0.25, correction: 0.125}"
    parts = [
        "model.variant=encoder",
        "objective=next_sentence",
        "model.position.length=40",
        "model/ffn=moe",
        f"model.ffn.router={router}",
    ]
    found = {}
    for name, size in DIVISIONS.items():
        path, _ = trained(documents(*ONE_STEP, *parts, *size, runs=name))
        weights, logged = after(watch, name)
        terms = {key: value for key, value in logged.items() if key.startswith("train/") and "second" not in key}
        assert {"train/next_sentence", "train/load_balance", "train/router_z"} < set(terms)
        kept = {key: value for key, value in load_file(path / "model.safetensors").items() if "correction" in key}
        found[name] = (weights, terms, kept)
    for name in ("halves", "rows"):
        torch.testing.assert_close(found[name][0], found["whole"][0], rtol=1e-4, atol=1e-6)
        assert found[name][1] == pytest.approx(found["whole"][1], rel=1e-4)
        assert all(torch.equal(value, found["whole"][2][key]) for key, value in found[name][2].items())


def test_clipping_leaves_a_norm_of_clip(
    documents: Callable[..., CheckedConfig], trained: Trained, watch: Watch
) -> None:
    trained(documents("steps=2", "clip=0.01"))
    for gradients in watch.gradients[:2]:
        norm = torch.nn.utils.get_total_norm(gradients)
        assert float(norm) == pytest.approx(0.01, rel=1e-3)
    assert watch.logged[0]["train/gradient_norm"] > 0.1


def test_matrices_decay_and_vectors_do_not(
    documents: Callable[..., CheckedConfig], trained: Trained, watch: Watch
) -> None:
    """Whatever their shape: λ of differential attention is a pair of vectors, biases of experts are stacked."""
    trained(documents("steps=1", "model/attention=differential", "model/ffn=moe", "model.ffn.bias=true"))
    decay, none = watch.groups
    assert decay["weight_decay"] == 0.1
    assert none["weight_decay"] == 0.0
    stacked = [tuple(p.shape) for p in none["params"] if p.ndim > 1]
    assert stacked == [(2, 16), (2, 16), (4, 32), (4, 32), (4, 32)], "λ, and the biases of four experts"
    assert {p.ndim for p in decay["params"]} == {2, 3}
    assert len(decay["params"]) + len(none["params"]) == len(watch.weights[0])


def test_tokens_are_those_that_are_read(pairs: Callable[..., CheckedConfig], trained: Trained) -> None:
    """Of an encoder-decoder both rows count, and padding does not."""
    config = pairs("model.variant=encoder_decoder", "steps=3", "accumulate=2")
    _, result = trained(config)
    prepared = prepare_data(config.config)
    expected = 0
    for number in range(6):
        batch = prepared.train.get_batch(draw_row_indices(len(prepared.train), 8, derive_seed(0, "order"), number))
        expected += int((batch.source_length + 1).sum() + batch.target_length.sum())
    assert result.tokens == expected


def test_the_loss_goes_down(pairs: Callable[..., CheckedConfig], trained: Trained) -> None:
    config = pairs("steps=80", "evaluate=20", "optimizer.lr=0.01")
    path, result = trained(config)
    lines = csv.DictReader((path / "metrics.csv").read_text().splitlines())
    losses = [float(line["validation/loss"]) for line in lines if line["validation/loss"]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 1.2
    assert losses[0] < math.log(prepare_data(config.config).vocabulary.size)
    assert result.metrics["token_accuracy"] > 0.4
    assert result.diverged is False


@pytest.mark.parametrize("steps", [4, 30])
def test_a_run_that_diverges_says_so(steps: int, documents: Callable[..., CheckedConfig], trained: Trained) -> None:
    many = [
        "optimizer._target_=torch.optim.SGD",
        "~optimizer.betas",
        "~optimizer.eps",
        "optimizer.lr=1e30",
        "clip=null",
    ]
    _, result = trained(documents(*many, f"steps={steps}", "evaluate=100"))
    assert result.diverged is True
    assert result.metrics["loss"] is None
    assert result.steps == min(steps, 10)
    assert result.tokens > 0
