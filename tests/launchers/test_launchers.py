"""One study through every launcher: the same numbers to the last bit, and what failed is told.

``make test-launchers`` installs what submitit and Ray need; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import TINY, digest, without_times, zoo
from tests.study.test_study import STUDY

EXTRAS = "needs pip install 'transformer-zoo[slurm,ray]'"
pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason=EXTRAS)
ray = pytest.importorskip("ray", reason=EXTRAS)

OFTEN = {"steps": 100, "evaluate": 50, "checkpoint": 10, "model.dropout": 0.1}
OPTIONS: dict[str, list[str]] = {"basic": [], "joblib": ["hydra.launcher.n_jobs=2"], "submitit_local": [], "ray": []}
BROKEN = {"optimizer.capturable": True, "optimizer.fused": False}  # known only at the first step on a CPU


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a study of two arms and two seeds, and one more arm that fails."""
    folder = tmp_path_factory.mktemp("launchers")
    overrides = {**STUDY["overrides"], **OFTEN}
    arms = {**STUDY["arms"], "broken": BROKEN}
    study = {**STUDY, "seeds": [1, 2], "overrides": overrides, "arms": arms}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster of Ray that was begun in another folder, as all are but those that a study begins itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else it writes to the home folder
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
        patch.undo()
        yield
        ray.shutdown()


def made(where: Path) -> dict[str, Any]:
    """Numbers, curves and weights of all runs, apart from times."""
    found = {}
    for run in (file.parent for file in where.glob("runs/*/result.json")):
        metrics = json.loads((run / "result.json").read_text())["metrics"]
        del metrics["tokens_per_second"]
        curves = without_times((run / "metrics.csv").read_text())
        found[run.name] = (metrics, curves, digest(run / "model.safetensors"))
    return found


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, Any]:
    """What the cells leave that run one after another in this process."""
    return launched(folder, "basic")


def launched(folder: Path, launcher: str) -> dict[str, Any]:
    """Run the study by a launcher, in a folder of its own; what it made."""
    where = folder / launcher
    where.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        code, out, err = zoo("study", str(folder / "study.yaml"), f"hydra/launcher={launcher}", *OPTIONS[launcher])
    assert code == 1, err
    assert "4 of 6 runs done" in out, out + err
    for seed in (1, 2):
        assert f"no result: numbers broken seed {seed}: AssertionError: If capturable=True" in out
    assert [file.name for file in where.iterdir()] == ["runs"]
    return made(where)


def test_runs_one_after_another(expected: dict[str, Any]) -> None:
    assert len(expected) == 4
    for _, curves, _ in expected.values():
        assert {line["step"] for line in curves} >= {"50", "100"}
    assert len({metrics["loss"] for metrics, _, _ in expected.values()}) == 4


def test_joblib(folder: Path, expected: dict[str, Any]) -> None:
    assert launched(folder, "joblib") == expected


def test_submitit_and_one_of_its_workers_is_killed(folder: Path, expected: dict[str, Any]) -> None:
    """The run goes on from its checkpoint; the others are waited for, and none of them is begun twice."""
    where = folder / "submitit_local"
    killer = threading.Thread(target=kill_past_a_checkpoint, args=(where,))
    killer.start()
    assert launched(folder, "submitit_local") == expected
    killer.join()
    assert len(list(where.glob("runs/.submitit/*/*_submitted.pkl"))) == 7


def kill_past_a_checkpoint(where: Path) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        for claim in where.glob("runs/*/claim/*~*"):
            if any((claim.parents[1] / "checkpoints").glob("*")):
                return os.kill(int(claim.name.split("~")[2]), signal.SIGKILL)
        time.sleep(0.01)


@pytest.mark.usefixtures("cluster")
def test_ray(folder: Path, expected: dict[str, Any]) -> None:
    assert launched(folder, "ray") == expected


def test_a_run_on_several_devices_has_a_process_of_its_own(folder: Path) -> None:
    """Of one task of Slurm, where Lightning would look for a task of each device."""
    where = folder / "two-devices"
    where.mkdir()
    devices = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "steps=2", "evaluate=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        patch.setenv("SLURM_NTASKS", "1")
        patch.setenv("SLURM_NTASKS_PER_NODE", "1")
        code, out, err = zoo("train", "-m", *TINY, *devices, "seed=1")
    assert code == 0, out + err
    assert len(made(where)) == 1
