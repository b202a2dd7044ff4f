"""Tasks are learned by a model that can, and not by one that cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.conftest import tiny_config
from zoo.components.tokenizer.characters import Characters
from zoo.data.prepare import PreparedData, tokenize_data
from zoo.data.special_tokens import Required
from zoo.model.build import build
from zoo.registry import get_index
from zoo.testing.objective_checks import prepare
from zoo.training.evaluation import Evaluation

SMALL: dict[str, Any] = {"symbols": 8, "train_length": 6, "limit": 6000}


def prepared(name: str, cache: Any, **options: Any) -> PreparedData:
    required = Required(mask=True, sep=True)  # of masked_lm and prefix_lm
    return tokenize_data(get_index().get("data", name).load()(**options), Characters(), 32, cache, required)


def exact_match(data: PreparedData, variant: str, position: str, steps: int) -> float:
    """The share of held-out targets that a small model gets right as a whole, after so many steps."""
    over = {"dim": 64, "hidden": 128, "norm": {"name": "rms"}, "position": {"name": position}}
    model = build(tiny_config(variant, **over), data.vocabulary.size, seed=0)
    named = {"decoder": "prefix_lm", "encoder": "masked_lm"}[variant]
    objective: Any = get_index().get("objective", named).load()(64, data.vocabulary, variant)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        rows = torch.randint(len(data.train), (32,), generator=generator).numpy()
        loss = objective.loss(model, prepare(objective, data.train.get_batch(rows), step))["cross_entropy"]
        optimizer.param_groups[0]["lr"] = 3e-3 * min((step + 1) / 20, 1 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    view = prepare(objective, data.validation.get_batch(range(200)))
    judge = Evaluation(objective, data.form, data.vocabulary.size, data.validation.bytes)
    with torch.no_grad():
        judge.update(*objective.predict(model.eval(), view), view)
    return judge.compute()["exact_match"]


def test_a_decoder_learns_to_copy(tmp_path):
    """Guessing would be right once in 8⁶."""
    assert exact_match(prepared("copy", tmp_path, **SMALL), "decoder", "rotary", 200) > 0.9


def test_an_encoder_reverses_with_positions_only(tmp_path):
    """Without them it gives one answer to all hidden places: right only where a source is one symbol throughout."""
    data = prepared("reverse", tmp_path, **SMALL)
    assert exact_match(data, "encoder", "learned", 250) > 0.9
    assert exact_match(data, "encoder", "none", 250) < 0.02


@pytest.mark.parametrize("name", ["induction", "dyck"])
def test_untrained_models_know_nothing(name, tmp_path):
    """A task is no task if it is solved by chance."""
    assert exact_match(prepared(name, tmp_path, limit=2000, validation=0.2), "decoder", "rotary", 0) < 0.2
