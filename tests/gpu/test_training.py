"""Training on a GPU: every preset, both precisions, what a result tells, and going on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.command import checked, zoo
from tests.gpu.needs import GPU
from tests.gpu.test_computation import PRESETS
from tests.interruption import Stops, same
from zoo.training.run import run_folder, train

pytestmark = GPU

SIZES = ["model.dim=64", "model.layers=2", "model.heads=2", "model.hidden=128"]
TINY = [*SIZES, "data=numbers", "data.limit=300", "steps=4", "evaluate=2", "trainer=gpu"]
SHORT = ["batch=4", "steps=3", "evaluate=3", "checkpoint=1", "examples=0", "trainer=gpu"]


@pytest.mark.parametrize("preset", ["transformer", "bert", "gpt", "llama"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed", "bf16-true"])
def test_every_precision(preset: str, precision: str, tmp_path: Path) -> None:
    over = [f"precision={precision}", *(["optimizer.fused=false"] if precision == "16-mixed" else [])]
    result = train(checked(f"model={preset}", *TINY, *over, f"runs={tmp_path}"))
    assert 0 < result.metrics["loss"] < 10
    assert result.cost["peak_memory_bytes"] > 0
    assert result.hardware["gpus"] == [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset(preset: str, few_lines: list[str], tmp_path: Path) -> None:
    config = checked(f"model={preset}", *few_lines, *SHORT, f"runs={tmp_path}")
    assert config.config.precision == "bf16-mixed"
    assert 0 < train(config).metrics["loss"] < 15


def test_the_loss_falls_as_on_the_cpu(tmp_path: Path) -> None:
    """The same weights, rows and steps; without dropout, which draws other numbers on a GPU."""
    common = [*TINY, "model=llama", "model.dropout=0", "precision=32-true", "steps=30", "evaluate=30"]
    losses = []
    for device in ("gpu", "cpu"):
        result = train(checked(*common, f"trainer={device}", f"runs={tmp_path / device}"))
        losses.append(result.metrics["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0] < 0.8 * 5.5  # of a guess among the tokens


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run_goes_on_after_an_interruption(precision: str, tmp_path: Path, stops: type[Stops]) -> None:
    over = [*TINY, "model=gpt", "model.dropout=0.1", f"precision={precision}", "checkpoint=2", "steps=6"]
    configs = [checked(*over, f"runs={tmp_path / name}") for name in ("whole", "cut")]
    whole, cut = (run_folder(config).path for config in configs)
    undisturbed = train(configs[0])
    stops.what, stops.step = KeyboardInterrupt(), 5
    with pytest.raises(KeyboardInterrupt):
        train(configs[1])
    stops.what = None
    assert list((cut / "checkpoints").iterdir())
    same((cut, train(configs[1])), (whole, undisturbed))


def test_energy_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("pynvml", reason="needs pip install nvidia-ml-py")
    result = train(checked("model=llama", *TINY, "steps=100", "evaluate=100", f"runs={tmp_path}"))
    assert 1 < result.energy_joules < 10_000


def test_a_study(tmp_path: Path) -> None:
    """Runs of one process, one after another, each with the memory and the metrics of its own."""
    over = ["model=gpt", *TINY, f"runs={tmp_path}"]
    done = zoo("study", *over, "arms={rms: {model/norm: rms}}", "seeds=2")
    assert done.code == 0, done.err
    results = [json.loads(file.read_text()) for file in tmp_path.glob("*/result.json")]
    assert len(results) == 4
    assert all(result["hardware"]["gpus"] for result in results)
    assert "cuda" not in done.err.lower()


def test_a_model_that_was_trained_on_a_gpu_writes_on_both(tmp_path: Path) -> None:
    result = train(checked("model=transformer", *TINY, "steps=200", f"runs={tmp_path}"))
    assert result is not None
    assert result.metrics["loss"] is not None
    (folder,) = (file.parent for file in tmp_path.glob("*/result.json"))
    for how in (["--greedy"], ["--beams", "3"], ["--seed", "3"]):
        texts = [zoo("generate", str(folder), "407", "12", *how, *device) for device in ([], ["--device", "cpu"])]
        assert [each.code for each in texts] == [0, 0], texts[0].err + texts[1].err
        assert texts[0].out == texts[1].out
