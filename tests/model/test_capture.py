"""Captured weights are those with which values were averaged, in every attention."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.model.build import build as build_model
from zoo.model.capture import avoid_fused_kernels, capture, is_fused_kernel_allowed
from zoo.model.variants.decoder import Decoder

LENGTH, VOCABULARY = 70, 11  # more tokens than a chunk
LINEAR = {
    "retention": "compute_recurrence",
    "linear": "compute_recurrence",
    "mamba2": "compute_recurrence",
    "gated_delta": "apply_gated_delta_rule",
    "gated_linear": "_apply_gated_recurrence",
}
"""Mixers without a softmax, and the function that averages their values."""


def build(attention: str) -> Any:
    parts = {"attention": attention, "ffn": "mlp", "norm": "rms", "residual": "pre", "position": "none"}
    config = {kind: {"name": name} for kind, name in parts.items()}
    return build_model(
        {"variant": "decoder", "dim": 16, "layers": 1, "heads": 2, **config},
        VOCABULARY,
        seed=0,
    ).eval()


def draw_tokens() -> Tensor:
    return torch.randint(VOCABULARY, (1, LENGTH), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", LINEAR)
def test_weights_of_a_linear_mixer_average_its_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"zoo.components.attention.{name}")
    original, calls = getattr(module, LINEAR[name]), []

    def watch(q: Tensor, k: Tensor, v: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        out = original(q, k, v, *rest)
        calls.append((v, out[0]))
        return out

    monkeypatch.setattr(module, LINEAR[name], watch)
    model, steps = build(name), []
    mixer = model.stack.layers[0].attention
    if name == "mamba2":
        mixer.step.register_forward_hook(lambda module, given, out: steps.append(out[0]))
    with capture() as records, torch.no_grad():
        model(draw_tokens())
    weights = records[0].weights
    assert weights.shape == (1, 2, LENGTH, LENGTH)
    assert not weights.triu(1).any(), "a token takes from a later one"
    values, averages = next(call for call in calls if call[0].shape[-1] not in (1, LENGTH))
    if name == "linear":  # normalized: rows sum to 1
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 2, LENGTH), atol=1e-4, rtol=0)
        averages = averages / next(total for ones, total in calls if ones.shape[-1] == 1)
    if name == "mamba2":  # the function is given Δ v, and D v is added to what it returns
        values = values / steps[0]
        averages = averages + values * mixer.skip[:, None, None]
    torch.testing.assert_close(weights @ values, averages, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["multi_head", "differential", "sparse_top_k", "synthesizer", "local", "latent"])
def test_rows_of_a_softmax_sum_to_one(name: str) -> None:
    with capture() as records, torch.no_grad():
        build(name)(draw_tokens())
    for record in records:
        assert record.scores is not None
        assert record.visible is not None
        torch.testing.assert_close(record.weights.sum(dim=-1), torch.ones(record.weights.shape[:-1]))
        expected = record.scores.masked_fill(~record.visible, -torch.inf).softmax(dim=-1)
        torch.testing.assert_close(record.weights, expected.expand_as(record.weights))
        if record.products is not None:
            torch.testing.assert_close(record.products * record.scale, record.scores)


def test_capture_leaves_no_trace() -> None:
    model, tokens = build("multi_head"), draw_tokens()
    assert isinstance(model, Decoder)
    before = model(tokens)
    with capture():
        model(tokens)
    with pytest.raises(IndexError), capture():
        model(torch.full((1, 1), VOCABULARY))
    assert is_fused_kernel_allowed()
    with avoid_fused_kernels():
        assert not is_fused_kernel_allowed()
    assert torch.equal(model(tokens), before)
