"""What only a GPU can show; skipped, with the reason, where there is none."""

from __future__ import annotations

import pytest
import torch

from zoo.build import build
from zoo.checking import check_run
from zoo.config import compose_run
from zoo.training.run import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU: torch.cuda.is_available() is false"),
]

SIZES = ["model.dim=64", "model.layers=2", "model.heads=2", "model.hidden=128"]
TINY = [*SIZES, "data=numbers", "data.limit=300", "steps=4", "evaluate=2"]


@pytest.mark.parametrize("preset", ["transformer", "bert", "gpt", "llama"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_preset_trains_on_a_gpu(preset: str, precision: str, tmp_path) -> None:
    overrides = [f"model={preset}", *TINY, "trainer=gpu", f"precision={precision}", f"runs={tmp_path}"]
    result = train(check_run(compose_run(overrides)))
    assert result["metrics"]["loss"] is not None
    assert result["cost"]["peak_memory_bytes"] > 0


@pytest.mark.parametrize("residual", ["pre", "post"])
@pytest.mark.parametrize("position", ["rotary", "alibi", "learned"])
def test_a_gpu_computes_what_the_cpu_does(residual: str, position: str) -> None:
    config = {
        "variant": "decoder",
        "dim": 64,
        "layers": 2,
        "attention": {"name": "grouped_query", "scores": {"sinks": True, "window": 5}},
        "ffn": {"name": "gated"},
        "norm": {"name": "rms"},
        "position": {"name": position},
        "residual": {"name": residual},
    }
    model = build(config, 50, seed=1)
    tokens = torch.randint(0, 50, (3, 17), generator=torch.Generator().manual_seed(0))
    padding = torch.ones_like(tokens)
    padding[0, :4] = 0
    expected = model(tokens, padding)[padding.bool()]
    got = model.cuda()(tokens.cuda(), padding.cuda()).cpu()[padding.bool()]
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
