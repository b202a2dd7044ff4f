"""Exported folders open in TransformerLens, whose hooks see what ``zoo.inspect.trace`` records."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.command import ON_CPU, zoo
from zoo.hub import load_network
from zoo.inspect.trace import trace_model
from zoo.model.inputs import Inputs

bridge = pytest.importorskip(
    "transformer_lens.model_bridge", reason="transformer-lens is not installed: make test-clients"
)
SMALL = ["model.dim=32", "model.layers=2", "model.hidden=48", "batch=8", "steps=3", "evaluate=3", *ON_CPU]


@pytest.mark.parametrize("model", ["gpt2", "llama3", "qwen3"])
def test_hooks_see_what_a_trace_records(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits, the stream before each layer, attention weights, and the outputs of attention and feed-forward."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    runs, folder = tmp_path / "runs", tmp_path / "exported"
    trained = zoo("train", f"model={model}", "data=pydocs", "data.length=64", f"runs={runs}", *SMALL)
    assert trained.code == 0, trained.err
    (run,) = [path.parent for path in runs.glob("*/result.json")]
    written = zoo("export", str(run), str(folder))
    assert written.code == 0, written.err

    tokens = torch.arange(6, 26)[None]
    opened = bridge.TransformerBridge.boot_transformers(str(folder), device="cpu")
    with torch.no_grad():
        logits, cache = opened.run_with_cache(tokens)
    traced = trace_model(load_network(folder).eval(), Inputs(tokens))
    assert traced.logits is not None
    torch.testing.assert_close(traced.logits, logits, atol=1e-4, rtol=1e-4)
    layers = traced.stacks["decoder"].layers
    assert len(layers) == 2
    for number, layer in enumerate(layers):
        attention, ffn = layer.sublayers
        seen = {
            "hook_resid_pre": layer.before,
            "attn.hook_pattern": attention.attention[0].weights,
            "hook_attn_out": attention.output,
            "hook_mlp_out": ffn.output,
            "hook_resid_post": layer.after,
        }
        for name, ours in seen.items():
            torch.testing.assert_close(cache[f"blocks.{number}.{name}"], ours, atol=1e-4, rtol=1e-4, msg=name)
