"""Studies that are killed at any moment, or run by several at once, end as one that nothing disturbed.

ZOO_KILLS is how often the test kills; 6 if it is not given.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import TINY
from tests.interruption import left
from tests.study.processes import Begin, Process
from tests.study.test_study import STUDY

KILLS = int(os.environ.get("ZOO_KILLS", "6"))
OFTEN = {"steps": 30, "evaluate": 7, "checkpoint": 2, "model.dropout": 0.1}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two arms with two seeds, evaluated and kept often."""
    path = tmp_path / "heads" / "study.yaml"
    path.parent.mkdir()
    overrides = {**STUDY["overrides"], **OFTEN}
    path.write_text(yaml.safe_dump({**STUDY, "seeds": [1, 2], "overrides": overrides}, sort_keys=False))
    return path


def made(where: Path) -> dict[str, Any]:
    """All that runs left, apart from times and what they took of this machine."""
    return {folder.name: left(folder) for folder in (where / "runs").iterdir() if folder.name != "reports"}


def trained(where: Path) -> Counter[str]:
    return Counter((where / "trained.log").read_text().split())


@pytest.fixture
def undisturbed(study: Path, begin: Begin, tmp_path: Path) -> tuple[dict[str, Any], float]:
    """What it ends with, and in how many seconds."""
    (tmp_path / "undisturbed").mkdir()
    before = time.monotonic()
    assert begin(tmp_path / "undisturbed").ended().splitlines()[-1] == "0"
    return made(tmp_path / "undisturbed"), time.monotonic() - before


def test_a_study_that_is_killed_ends_as_an_undisturbed_one(
    undisturbed: tuple[dict[str, Any], float], begin: Begin, tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    assert len(expected) == 4
    steps = [line["step"] for line in next(iter(expected.values()))["metrics.csv"]]
    assert steps == ["1", "7", "7", "10", "14", "14", "20", "21", "21", "28", "28", "30", "30"]
    draw = random.Random(0)
    kills = rounds = resumed = 0
    while kills < KILLS:
        where = tmp_path / f"killed-{rounds}"
        where.mkdir()
        rounds += 1
        while True:
            process = begin(where)
            if draw.random() < 0.75:  # else start and report, which take longer, would have all the kills
                while process.runs() and not is_claimed(where, process):
                    time.sleep(0.005)
                until = time.monotonic() + draw.uniform(0, 1.5)
            else:
                until = time.monotonic() + draw.uniform(0, seconds)
            while process.runs() and time.monotonic() < until and kills < KILLS:
                time.sleep(0.005)
            if kills < KILLS and process.runs():
                kills += 1
                process.kill()
                continue
            assert process.ended().splitlines()[-1] == "0"
            break
        assert made(where) == expected
        resumed += sum(trained(where).values()) - len(expected)
        assert "stale" not in [folder.name for folder in (where / "runs").iterdir()]
    assert kills == KILLS
    print(f"{kills} kills in {rounds} studies of {seconds:.1f} s; {resumed} times a run went on after a kill")


def test_a_worker_or_the_head_is_killed_and_the_rest_goes_on(
    undisturbed: tuple[dict[str, Any], float], begin: Begin, tmp_path: Path
) -> None:
    """The process of a command, whose workers end with it: by SIGKILL, then of another command by SIGTERM.

    Of a third command, one worker.
    """
    where = tmp_path / "killed"
    where.mkdir()
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "threads=1"]
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = begin(where, "steps=100000", launcher=joblib)
        workers = claimed(where, {process.group})
        os.kill(process.group, number)
        process.wait(60)
        until = time.monotonic() + 60
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            assert time.monotonic() < until, "workers are left"
            time.sleep(0.02)
        while list(where.glob("runs/*/claim/*")):  # also of a worker that began after the first
            assert time.monotonic() < until, "they ended in order"
            time.sleep(0.02)
    told = process.ended().splitlines()
    assert "143" in told, told
    assert "zoo: interrupted by SIGTERM; run the same command again to go on" in told
    assert not any("launcher failed" in line for line in told), told
    shutil.rmtree(where / "runs")
    third = begin(where, launcher=joblib)
    os.kill(claimed(where, {third.group}).pop(), signal.SIGKILL)
    told = third.ended()
    assert told.splitlines()[-1] == "0", told
    assert "4 of 4 runs done" in told
    expected, _ = undisturbed
    assert {name: {**run, "files": []} for name, run in made(where).items()} == {
        name: {**run, "files": []} for name, run in expected.items()
    }


def test_a_training_or_a_sweep_that_is_terminated_keeps_its_step_and_says_so(begin: Begin, tmp_path: Path) -> None:
    """By what a scheduler sends, too; called again, it goes on from there."""
    options = [*TINY, "steps=100000", "evaluate=100000"]
    for number, words in ((signal.SIGTERM, ["train"]), (signal.SIGUSR1, ["train", "-m", "seed=1,2"])):
        where = tmp_path / number.name
        where.mkdir()
        steps = []
        for _ in range(2):
            process = begin(where, *options, command=words)
            done = len(list(where.glob("runs/*/checkpoints/*.ckpt")))
            until = time.monotonic() + 60
            while process.runs() and not (done and "resuming from step" in process.out.read_text()):
                if not done and list(where.glob("runs/*/metrics.csv")):
                    break
                assert time.monotonic() < until
                time.sleep(0.01)
            os.kill(process.group, number)
            told = process.ended()
            assert told.splitlines()[-1] == str(128 + number), told
            (step,) = re.findall(
                rf"^zoo: interrupted by {number.name}: step (\d+) is kept; run the same command again to go on$",
                told,
                re.MULTILINE,
            )
            steps.append(int(step))
        assert f"resuming from step {steps[0]}" in told
        assert 0 < steps[0] <= steps[1]
        (folder,) = where.glob("runs/*/checkpoints")
        assert any(path.name.startswith(f"step-{steps[1]}-") for path in folder.iterdir())


def is_claimed(where: Path, process: Process) -> bool:
    return any(f"~{process.group}~" in file.name for file in where.glob("runs/*/claim/*"))


def claimed(where: Path, but: set[int]) -> set[int]:
    """Processes that train, once there is one besides those given."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        found = {int(file.name.split("~")[2]) for file in where.glob("runs/*/claim/*")} - but
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("nothing is trained")


def test_studies_that_run_at_once_train_each_cell_once(
    undisturbed: tuple[dict[str, Any], float], begin: Begin, tmp_path: Path
) -> None:
    where = tmp_path / "together"
    where.mkdir()
    ended = [process.ended() for process in [begin(where) for _ in range(3)]]
    for told in ended:
        assert told.splitlines()[-1] == "0", told
        assert "4 of 4 runs done" in told
    expected, _ = undisturbed
    assert made(where) == expected
    assert set(trained(where).values()) == {1}
    assert len(trained(where)) == 4
    assert any("left to it" in told for told in ended)


def test_studies_that_become_known_in_rounds_share_the_work_too(study: Path, begin: Begin, tmp_path: Path) -> None:
    """Learning rates are chosen first, then seeds are added; who waits for the other goes on with the next round."""
    arms = {"two": {}, "one": {"model.heads": 1}}
    rounds = {"seeds": "until_decided", "max_seeds": 5, "learning_rates": {"values": [0.001, 0.01], "seeds": [101]}}
    given = {**STUDY, **rounds, "arms": arms}
    given["overrides"] = {**STUDY["overrides"], "steps": 3, "evaluate": 3}
    study.write_text(yaml.safe_dump(given, sort_keys=False))
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    told = begin(alone).ended()
    assert told.splitlines()[-1] == "0", told
    expected = made(alone)
    assert 12 <= len(expected) <= 14  # two rates of two arms; then four seeds, and a fifth where that is not enough
    assert "4 runs, 0 already done; up to 10 more will follow" in told
    assert f"{len(expected)} of {len(expected)} runs done" in told
    ended = [process.ended() for process in [begin(together) for _ in range(2)]]
    for told in ended:
        assert told.splitlines()[-1] == "0", told
        assert f"{len(expected)} of {len(expected)} runs done" in told
    assert made(together) == expected
    assert trained(together) == dict.fromkeys(expected, 1)


def test_the_status_of_a_study_that_runs_elsewhere(study: Path, begin: Begin, tmp_path: Path) -> None:
    where = tmp_path / "looked-at"
    where.mkdir()

    def status() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(
            begin(where, "--status", "--json", "steps=3000").ended().rpartition("}")[0] + "}"
        )
        return told

    assert status()["states"] == {"planned": 4}
    process = begin(where, "steps=3000")
    assert claimed(where, set()) == {process.group}
    until = time.monotonic() + 60
    while not list(where.glob("runs/*/metrics.csv")) and time.monotonic() < until:
        time.sleep(0.02)
    seen = status()
    assert seen["states"] == {"running": 1, "planned": 3}
    (cell,) = (cell for cell in seen["cells"] if cell["state"] == "running")
    assert 0 < cell["step"] < cell["steps"] == 3000
    assert 1 < cell["loss"] < 10
    assert 0 <= cell["silent"] < 60
    assert cell["process"].startswith(f"process {process.group} on ")
    process.kill()
    assert status()["states"] == {"interrupted": 1, "planned": 3}
