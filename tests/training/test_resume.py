"""A run is done once, goes on after it was interrupted, and never mixes what other code made with its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.command import TINY
from tests.interruption import Stops, same
from zoo.config.checking import CheckedConfig
from zoo.hub.saved_model import load_saved_model
from zoo.runs.run_result import RunResult
from zoo.runs.run_start import RunStart
from zoo.system.files import Damaged
from zoo.training import run as run_module
from zoo.training.lightning_module import Training
from zoo.training.run import run_folder, train

# Everything that is drawn matters: which tokens are hidden, which features dropped, in two micro-batches a step.
RANDOM = ["model.variant=encoder", "model.dropout=0.2", "accumulate=2", "steps=13", "evaluate=4", "checkpoint=3"]
Trained = Callable[[CheckedConfig], tuple[Path, RunResult]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the undisturbed run lies, which is made once."""
    return str(tmp_path_factory.mktemp("undisturbed"))


def test_the_same_config_is_trained_once(documents: Callable[..., CheckedConfig], stops: type[Stops]) -> None:
    first = train(documents("steps=2"))
    stops.what, stops.step = RuntimeError("trained again"), 1
    assert train(documents("steps=2")) == first
    with pytest.raises(RuntimeError, match="trained again"):
        train(documents("steps=2", "seed=1"))


@pytest.mark.parametrize("asked", [True, False])
def test_deterministic_kernels_are_used_in_their_run_only_and_after_an_interruption(
    asked: bool, documents: Callable[..., CheckedConfig], stops: type[Stops], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def take(module: Training, *given: Any) -> Any:
        used.append(torch.are_deterministic_algorithms_enabled())
        return step(module, *given)

    step = Training.training_step
    monkeypatch.setattr(Training, "training_step", take)
    lines = [*RANDOM, "steps=6", *(["+trainer.deterministic=true"] if asked else [])]
    undisturbed = train(documents(*lines, runs="undisturbed"))
    stops.what, stops.step = KeyboardInterrupt(), 4
    with pytest.raises(KeyboardInterrupt):
        train(documents(*lines))
    assert not torch.are_deterministic_algorithms_enabled()
    stops.what = None
    resumed = train(documents(*lines))
    assert not torch.are_deterministic_algorithms_enabled()
    assert set(used) == {asked}
    assert undisturbed is not None
    assert resumed is not None
    assert resumed.get_metric("loss") == undisturbed.get_metric("loss")


@pytest.mark.parametrize(
    ("hook", "step"),
    [("on_train_batch_end", 2), ("on_train_batch_end", 7), ("on_train_batch_end", 12), ("on_validation_start", 4)],
)
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    hook: str, step: int, documents: Callable[..., CheckedConfig], stops: type[Stops], trained: Trained, shared: str
) -> None:
    undisturbed = trained(documents(*RANDOM, runs=shared))
    stops.what, stops.hook, stops.step = KeyboardInterrupt(), hook, step
    with pytest.raises(KeyboardInterrupt):
        train(documents(*RANDOM))
    folder = run_folder(documents(*RANDOM))
    assert folder.state == "started"
    kept = [torch.load(file, weights_only=True)["global_step"] for file in folder.list_checkpoints()]
    last = (step - 1) // 3 * 3
    assert kept == [at for at in (last, last - 3) if at > 0]
    stops.what = None
    same(trained(documents(*RANDOM)), undisturbed)
    assert not folder.checkpoints.exists()


@pytest.mark.parametrize(
    ("hook", "step", "kept", "config"),
    [
        ("on_validation_start", 6, 3, ["evaluate=3"]),  # in the evaluation of a step that is written
        ("on_fit_end", 12, 12, ["evaluate=3", "steps=12"]),  # when all is trained and evaluated
        ("on_fit_end", 13, 13, ["checkpoint=1"]),  # when the last evaluation is still to come
        ("on_validation_end", 13, 13, ["checkpoint=1"]),  # after it, without a result
    ],
)
def test_interrupted_between_a_checkpoint_and_what_follows_it(
    hook: str,
    step: int,
    kept: int,
    config: list[str],
    documents: Callable[..., CheckedConfig],
    stops: type[Stops],
    trained: Trained,
) -> None:
    config = [*RANDOM, *config]
    undisturbed = trained(documents(*config, runs="undisturbed"))
    stops.what, stops.hook, stops.step = KeyboardInterrupt(), hook, step
    with pytest.raises(KeyboardInterrupt):
        train(documents(*config))
    checkpoint = run_folder(documents(*config)).list_checkpoints()[0]
    assert torch.load(checkpoint, weights_only=True)["global_step"] == kept
    stops.what = None
    same(trained(documents(*config)), undisturbed)


def flip(path: Path) -> None:
    """One bit of one weight."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def test_damaged_checkpoints_are_named_and_set_aside(
    documents: Callable[..., CheckedConfig],
    stops: type[Stops],
    trained: Trained,
    shared: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The newest has another bit, the one before it a page of zeros, and there is one that somebody else put there."""
    undisturbed = trained(documents(*RANDOM, runs=shared))
    config, folder = documents(*RANDOM), run_folder(documents(*RANDOM))
    stops.what, stops.hook, stops.step = KeyboardInterrupt(), "on_train_batch_end", 7
    with pytest.raises(KeyboardInterrupt):
        train(config)
    newest, before = folder.list_checkpoints()
    flip(newest)
    (newest.parent / "newer.ckpt").write_bytes(before.read_bytes()[:1000])
    stops.step = 10
    with caplog.at_level("INFO", "zoo"), pytest.raises(KeyboardInterrupt):
        train(config)
    assert f"{newest} is damaged" in caplog.text
    assert "resuming from step 3" in caplog.text
    assert {path.name for path in folder.path.parent.glob("stale/*/*")} == {newest.name, "newer.ckpt"}
    newest, before = folder.list_checkpoints()
    assert [path.name.split("-")[1] for path in (newest, before)] == ["9", "6"]
    content = before.read_bytes()
    before.write_bytes(content[:4096] + bytes(4096) + content[8192:])
    newest.unlink()
    stops.what = None
    same(trained(config), undisturbed)
    assert f"{before} is damaged" in caplog.text


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_model_is_named_by_whoever_reads_it_and_trained_again(
    name: str, documents: Callable[..., CheckedConfig], trained: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = trained(documents("steps=2"))
    before = (path / name).read_bytes()
    flip(path / name)
    with pytest.raises(Damaged, match=f"{path / name} is damaged"):
        load_saved_model(path)
    assert trained(documents("steps=2"))[0] == path
    assert f"{path / name} is damaged" in caplog.text
    assert (path / name).read_bytes() == before
    assert (path.parent / "stale" / f"{path.name}-damaged-0" / name).read_bytes() != before
    load_saved_model(path)


def test_ctrl_c_is_heard_again_afterwards(documents: Callable[..., CheckedConfig], stops: type[Stops]) -> None:
    heard = signal.getsignal(signal.SIGINT)
    stops.what, stops.hook, stops.step = KeyboardInterrupt(), "on_train_batch_end", 1
    with pytest.raises(KeyboardInterrupt):
        train(documents(*RANDOM))
    assert signal.getsignal(signal.SIGINT) is heard


def test_a_killed_process_goes_on(documents: Callable[..., CheckedConfig], trained: Trained, tmp_path: Path) -> None:
    config = documents(*RANDOM, "steps=120", "evaluate=120", "checkpoint=2")
    folder = run_folder(config)
    (tmp_path / "config.json").write_text(json.dumps(config.config.as_mapping()))
    script = (
        "import json, sys; from zoo.config.checking import check_run; from zoo.training.run import train\n"
        "train(check_run(json.load(open(sys.argv[1]))))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "config.json")])
    try:
        until = time.monotonic() + 60
        while not folder.list_checkpoints() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert folder.list_checkpoints()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert folder.state == "started"
    undisturbed = trained(documents(*RANDOM, "steps=120", "evaluate=120", "checkpoint=2", runs="undisturbed"))
    same(trained(config), undisturbed)


def test_a_failed_run_says_why_and_is_tried_again(
    documents: Callable[..., CheckedConfig], stops: type[Stops], trained: Trained
) -> None:
    stops.what, stops.hook, stops.step = RuntimeError("out of luck"), "on_train_batch_end", 2
    config = documents("steps=4")
    with pytest.raises(RuntimeError, match="out of luck"):
        train(config)
    folder = run_folder(config)
    assert folder.state == "failed"
    failed = folder.read_failure()
    assert failed is not None
    assert failed.error == "RuntimeError: out of luck"
    assert "interruption.py" in failed.traceback
    stops.what = None
    path, result = trained(config)
    assert result.steps == 4
    assert run_folder(config).state == "done"
    assert not (path / "failed.json").exists()


@pytest.mark.parametrize("changed", ["code", "data", "components"])
def test_what_other_code_or_data_made_is_set_aside(
    changed: str, documents: Callable[..., CheckedConfig], trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = documents("steps=1")
    path, first = trained(config)
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    describe = run_module._describe_start

    def other(*given: Any) -> RunStart:
        found = describe(*given)
        return replace(found, fingerprints={**found.fingerprints, changed: "other"})

    monkeypatch.setattr(run_module, "_describe_start", other)
    _, second = trained(config)
    assert second.fingerprints[changed] == "other"
    (aside,) = (path.parent / "stale").iterdir()
    assert aside.name == f"{path.name}-{changed}-0"
    assert {file.name: file.read_bytes() for file in aside.iterdir() if file.is_file()} == before
    assert RunResult.read(aside) == replace(first, folder=aside)


def test_a_run_that_was_begun_by_other_code_is_not_gone_on_with(
    documents: Callable[..., CheckedConfig], stops: type[Stops], trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops.what, stops.hook, stops.step = KeyboardInterrupt(), "on_train_batch_end", 7
    with pytest.raises(KeyboardInterrupt):
        train(documents(*RANDOM))
    stops.what = None
    monkeypatch.setattr(run_module, "hash_code", lambda: "other")
    path, result = trained(documents(*RANDOM))
    assert result.fingerprints["code"] == "other"
    assert [folder.name for folder in (path.parent / "stale").iterdir()] == [f"{path.name}-code-0"]


def test_the_folder_says_what_was_run_and_is_on_disk(
    documents: Callable[..., CheckedConfig], trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = dict[int, int](), os.fsync

    def record(number: int) -> None:
        sync(number)
        synced[os.fstat(number).st_ino] = os.fstat(number).st_mtime_ns

    monkeypatch.setattr(os, "fsync", record)
    config = documents("steps=3", "evaluate=2", "checkpoint=1", f"cache={tmp_path / 'cache'}")
    path, result = trained(config)
    files = [file for file in [*path.iterdir(), *tmp_path.glob("cache/**/*")] if file.is_file()]
    assert len(files) > 12
    assert {file.name for file in files if synced.get(file.stat().st_ino) != file.stat().st_mtime_ns} == set()
    assert {**yaml.safe_load((path / "config.yaml").read_text()), "label": ""} == config.config.as_mapping()
    assert path.name == config.hash
    assert set(result.fingerprints) == {"data", "code", "components"}
    assert result.versions["torch"]
    assert result.cost["peak_memory_bytes"] > 0
    assert sorted(file.name for file in path.iterdir()) == [
        "config.yaml",
        "metrics.csv",
        "model.safetensors",
        "result.json",
        "started.json",
        "tokenizer.json",
    ]


def test_a_run_that_is_killed_before_any_change_of_its_folder_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    """Whatever it has just written, renamed or removed; files, metrics and weights are the same in the end."""
    small = ["data.limit=20", "data.length=16", "batch=2", "examples=1"]
    options = [*small, "steps=3", "evaluate=2", "checkpoint=2", "model.dropout=0.2"]
    command = [sys.executable, "-m", "tests.training.kill_points", str(tmp_path), *TINY, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert any(change.startswith("os.rename .result.json~") for change in found["changes"])
    assert "os.rmdir claim" in found["changes"]
    assert not found["unlike"]
