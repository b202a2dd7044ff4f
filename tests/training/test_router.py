"""Mixtures of experts in a training: load becomes even, terms add up, and the correction is part of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file
from torch import Tensor

from tests.conftest import tiny_config
from zoo.components.ffn._router import TopK
from zoo.config.checking import CheckedConfig
from zoo.model.build import build
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant
from zoo.runs.run_result import RunResult
from zoo.training import run as run_module
from zoo.training.run import run_folder, train

EXPERTS, STEPS = 8, 100
Trained = Callable[[CheckedConfig], tuple[Path, RunResult]]


def batch(seed: int) -> tuple[Tensor, Tensor]:
    """Rows in which each token follows from the one before, with padding at the end of some."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(0, 26, (8,), generator=generator)]
    for _ in range(16):
        rows.append((rows[-1] * 5 + 3) % 26)
    segment = torch.zeros(8, 16, dtype=torch.long)
    segment[:3, 10:] = -1
    return torch.stack(rows, dim=1) + 6, segment


def share(model: Variant) -> float:
    """The largest part that one expert has of all choices, in evaluation."""
    chosen: list[Tensor] = []
    (router,) = (module for module in model.modules() if isinstance(module, TopK))
    handle = router.register_forward_hook(lambda _, given, out: chosen.append(out[0][given[1]]))
    rows, segment = batch(999)
    model.eval().compute_hidden(Inputs(rows[:, :-1], segment))
    model.train()
    handle.remove()
    count = chosen[0].flatten().bincount(minlength=EXPERTS)
    return float(count.max() / count.sum())


def skewed(seed: int, router: dict[str, Any]) -> Variant:
    """One layer whose router begins with two experts that all tokens prefer.

    Weights begin larger than by default: scores of different tokens would else lie closer than one correction apart.
    """
    options = {"name": "moe", "experts": EXPERTS, "router": {"learned_bias": True, **router}}
    model = build(tiny_config(layers=1, ffn=options, initialization={"std": 0.1}), 32, seed=seed).train()
    for module in model.modules():
        if isinstance(module, TopK):
            torch.nn.init.constant_(module.logits.bias[:2], 1.5)
    return model


def shares(model: Variant, seed: int) -> tuple[float, float]:
    """Train a little; the largest share before, and its mean over the last steps."""
    before, after = share(model), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for step in range(STEPS):
        rows, segment = batch(seed * STEPS + step)
        logits = model.logits(model.compute_hidden(Inputs(rows[:, :-1], segment)))
        loss = F.cross_entropy(logits[segment >= 0], rows[:, 1:][segment >= 0])
        loss = loss + sum(term for _, term, _ in model.losses())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for component in model.list_components():
            component.update_after_step()
        if step >= STEPS - 20 and step % 4 == 0:
            after.append(share(model))
    return before, sum(after) / len(after)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
@pytest.mark.parametrize("by", [None, "aux_loss", "correction"])
def test_load_becomes_even_by_loss_or_correction_and_not_by_itself(by: str | None, score: str, seed: int) -> None:
    """Two of eight experts begin with half of all choices each, where an eighth is even."""
    router = {"score": score} | ({} if by is None else {by: {"aux_loss": 1.0, "correction": 0.01}[by]})
    before, after = shares(skewed(seed, router), seed)
    assert before == 0.5
    assert after > 0.45 if by is None else after < 0.3


# ------------------------------------------------------------------------------------------------- a whole training

MOE = [
    "model/ffn=moe",
    "model.layers=2",
    "model.ffn.router.score=sigmoid",
    "model.ffn.router.correction=0.125",
    "model.ffn.router.aux_loss=0.5",
    "model.ffn.router.z_loss=0.25",
    "steps=4",
    "checkpoint=2",
    "accumulate=2",
]


class Looks(Callback):
    """Notes what was logged and each layer's correction, and stops where it is told to."""

    logged: list[dict[str, float]]
    seen: list[list[Tensor]]
    stop: int | None

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})
        self.seen.append([m.correction.clone() for m in module.modules() if isinstance(m, TopK)])
        if trainer.global_step == self.stop:
            raise KeyboardInterrupt


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> type[Looks]:
    """Every run gets this callback, though its config does not say so."""
    made = run_module._build_parts

    def with_looks(*given: Any) -> Any:
        *others, callbacks = made(*given)
        return *others, [*callbacks, Looks()]

    monkeypatch.setattr(run_module, "_build_parts", with_looks)
    monkeypatch.setattr(Looks, "logged", [], raising=False)
    monkeypatch.setattr(Looks, "seen", [], raising=False)
    monkeypatch.setattr(Looks, "stop", None, raising=False)
    return Looks


def test_terms_of_all_layers_add_up(
    documents: Callable[..., CheckedConfig], trained: Trained, looks: type[Looks]
) -> None:
    """The balancing loss of each of two layers is about one, and its weight 0.5."""
    trained(documents(*MOE))
    for logged in looks.logged[1::2]:  # after the second micro-batch of a step
        assert 0.95 < logged["train/load_balance"] < 1.3
        assert logged["train/router_z"] > 0
        terms = {"train/load_balance", "train/router_z", "train/cross_entropy"}
        assert logged["train/loss"] == pytest.approx(sum(logged[name] for name in terms), rel=1e-5)


def test_the_correction_moves_once_a_step_and_is_kept(
    documents: Callable[..., CheckedConfig], trained: Trained, looks: type[Looks]
) -> None:
    path, _ = trained(documents(*MOE))
    first = [layers[0] for layers in looks.seen]
    assert len(first) == 8, "two micro-batches a step"
    for micro, correction in enumerate(first):
        moves = correction - (first[micro - 1] if micro else 0.0)
        assert moves.any() == (micro % 2 == 1)
        assert set(moves.tolist()) <= {-0.125, 0.0, 0.125}
    kept = [
        value for name, value in load_file(path / "model.safetensors").items() if name.endswith("router.correction")
    ]
    assert len(kept) == 2
    assert any(torch.equal(value, first[-1]) for value in kept)


def test_an_interrupted_run_ends_as_an_undisturbed_one(
    documents: Callable[..., CheckedConfig], trained: Trained, looks: type[Looks]
) -> None:
    whole, _ = trained(documents(*MOE, runs="whole"))
    looks.stop = 3
    config = documents(*MOE, runs="parts")
    with pytest.raises(KeyboardInterrupt):
        train(config)
    looks.stop = None
    train(config)
    files = [path / "model.safetensors" for path in (whole, run_folder(config).path)]
    assert files[0].read_bytes() == files[1].read_bytes()
