"""A run is claimed by one process at a time, and taken over only from one that is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zoo.config.checking import CheckedConfig
from zoo.runs import claim as claim_module
from zoo.runs.claim import TIMEOUT_SECONDS, Claim, ClaimLost, find_holder
from zoo.runs.run_result import RunResult
from zoo.training import run as run_module
from zoo.training.run import run_folder, train

HOLD = (
    "import sys, time; from pathlib import Path; from zoo.runs.claim import Claim\n"
    "claim = Claim(Path(sys.argv[1])); assert claim.take() is None\n"
    "print('held', flush=True); time.sleep(600)"
)
COMPETE = (
    "import sys, time; from pathlib import Path; from zoo.runs.claim import Claim\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "for number in range(60):\n"
    "    claim = Claim(Path(sys.argv[1]) / str(number))\n"
    "    print(int(claim.take() is None), flush=True)\n"
    "sys.stdin.readline()"
)

COME_AND_GO = (
    "import os, sys; from pathlib import Path; from zoo.runs.claim import Claim\n"
    "print('ready', flush=True); sys.stdin.readline(); had = 0\n"
    "for _ in range(300):\n"
    "    claim = Claim(Path(sys.argv[1]))\n"
    "    if claim.take() is None:\n"
    "        with claim:\n"
    "            inside = Path(sys.argv[1], 'inside'); inside.mkdir(); inside.rmdir(); had += 1\n"
    "print(had, flush=True)"
)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[..., Path]:
    """A claim by a process of another machine that was heard from so many seconds ago."""

    def make(silent: float) -> Path:
        file = tmp_path / "claim" / "0123456789abcdef~cafecafecafe~77~1~far-away"
        file.parent.mkdir()
        file.touch()
        os.utime(file, (time.time() - silent,) * 2)
        return file

    return make


def begun(script: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_claim_is_had_by_one_and_given_back(tmp_path: Path) -> None:
    first, second = Claim(tmp_path), Claim(tmp_path)
    assert find_holder(tmp_path) is None
    assert first.take() is None
    with first:
        other = second.take()
        assert other is not None
        assert (other.process, other.live) == (os.getpid(), True)
        first.require_held(on_disk=True)
    assert list(tmp_path.iterdir()) == []
    assert second.take() is None


def test_of_many_who_want_it_one_has_it(tmp_path: Path) -> None:
    """Free claims, and those of a process that is gone."""
    holding = begun(HOLD, tmp_path / "gone")
    ended(holding)
    for number in range(0, 60, 2):
        (tmp_path / str(number)).mkdir()
        (old,) = (tmp_path / "gone" / "claim").iterdir()
        (tmp_path / str(number) / "claim").mkdir()
        (tmp_path / str(number) / "claim" / old.name).touch()
    rivals = [begun(COMPETE, tmp_path) for _ in range(3)]
    try:
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write("go\n")
            rival.stdin.flush()
        had = [[int(rival.stdout.readline()) for _ in range(60)] for rival in rivals if rival.stdout is not None]
    finally:
        for rival in rivals:
            ended(rival)
    assert [sum(each) for each in zip(*had, strict=True)] == [1] * 60


def test_never_do_two_have_it(tmp_path: Path) -> None:
    """While they come and go."""
    rivals = [begun(COME_AND_GO, tmp_path) for _ in range(3)]
    told = []
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    for rival in rivals:
        told.append(rival.communicate(timeout=120)[0])
        assert rival.returncode == 0
    assert min(int(had) for had in told) > 0
    assert list(tmp_path.iterdir()) == []


def test_who_leaves_clears_drafts_but_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another's draft becomes the claim while the one who leaves is about to empty it."""
    leaving, coming = Claim(tmp_path), Claim(tmp_path)
    assert leaving.take() is None
    draft = tmp_path / ".claim-coming"
    draft.mkdir()
    (draft / coming.path.name).touch()
    scandir, tried = os.scandir, []

    def overtaken(folder: Any) -> Any:
        if isinstance(folder, int):  # the folder that is emptied, open already
            tried.append(folder)
            with contextlib.suppress(FileNotFoundError):
                draft.rename(tmp_path / "claim")
        return scandir(folder)

    with leaving:
        monkeypatch.setattr(os, "scandir", overtaken)
    assert tried
    assert not draft.exists()
    assert coming.path.exists() is (tmp_path / "claim").exists()
    assert Claim(tmp_path).take() is None


def test_a_process_that_was_killed_has_nothing(tmp_path: Path) -> None:
    process = begun(HOLD, tmp_path)
    try:
        other = Claim(tmp_path).take()
        assert other is not None
        assert (other.process, other.live) == (process.pid, True)
        process.send_signal(signal.SIGSTOP)  # is not gone, however long it is silent
        os.utime(other.path, (0, 0))
        still = Claim(tmp_path).take()
        assert still is not None
        assert still.live
        process.kill()  # stays a zombie until it is waited for
        while (seen := find_holder(tmp_path)) is not None and seen.live:
            time.sleep(0.01)
        mine = Claim(tmp_path)
        assert mine.take() is None
        assert [file.name for file in (tmp_path / "claim").iterdir()] == [mine.path.name]
        assert time.time() - mine.path.stat().st_mtime < TIMEOUT_SECONDS
    finally:
        ended(process)


@pytest.mark.parametrize(
    ("silent", "taken"), [(0.0, False), (TIMEOUT_SECONDS - 10, False), (TIMEOUT_SECONDS + 10, True)]
)
def test_a_process_of_another_machine_is_gone_when_it_was_silent_for_long(
    silent: float, taken: bool, elsewhere: Callable[..., Path], tmp_path: Path
) -> None:
    there = elsewhere(silent)
    other = Claim(tmp_path).take()
    assert (other is None) is taken
    assert there.exists() is not taken
    assert taken or str(other) == "process 77 on far-away"


def test_the_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "HEARTBEAT_SECONDS", 0.02)
    claim = Claim(tmp_path)
    assert claim.take() is None
    with claim:
        os.utime(claim.path, (0, 0))
        until = time.monotonic() + 20
        while claim.path.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert time.time() - claim.path.stat().st_mtime < TIMEOUT_SECONDS


@pytest.mark.parametrize("steps", [3, 1])
def test_who_lost_the_run_writes_nothing_more(
    steps: int, documents: Callable[..., CheckedConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In training, and before the result is written."""
    config = documents(f"steps={steps}", "checkpoint=1")
    folder = run_folder(config)
    fit = run_module.fit

    def robbed(job: Any, claim: Any) -> Any:
        claim.path.rename(claim.path.with_name("0~cafecafecafe~77~1~far-away"))
        return fit(job, claim)

    monkeypatch.setattr(run_module, "fit", robbed)
    with pytest.raises(ClaimLost, match=r"was taken over by another process: this one sent no heartbeat for 60 s"):
        train(config)
    assert folder.state == "started"
    assert not folder.list_checkpoints()
    other = find_holder(folder.path)
    assert other is not None
    assert other.host == "far-away"


def test_who_comes_second_waits_for_the_result(
    documents: Callable[..., CheckedConfig], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "zoo")
    monkeypatch.setattr(run_module, "_LOOK", 0.01)
    config = documents("steps=2")
    result = train(documents("steps=2", runs="elsewhere"))
    folder = run_folder(config)
    claim = Claim(folder.path)
    assert claim.take() is None
    assert train(config, wait=False) is None
    found: list[RunResult | None] = []
    second = threading.Thread(target=lambda: found.append(train(config)), daemon=True)
    with claim:
        second.start()
        until = time.monotonic() + 60
        while "waiting for it" not in caplog.text and time.monotonic() < until:
            time.sleep(0.01)
        folder.record_result(result)
    second.join(60)
    assert result is not None
    assert found == [replace(result, folder=folder.path)]
    assert f"{folder.path} is trained by process {os.getpid()} on " in caplog.text
    assert [file.name for file in folder.path.iterdir()] == ["result.json"]


def test_what_a_kill_after_the_result_leaves_is_cleared_by_whoever_comes_next(
    documents: Callable[..., CheckedConfig], tmp_path: Path
) -> None:
    config = documents("steps=2")
    result, folder = train(config), run_folder(config)
    files = sorted(file.name for file in folder.path.iterdir())
    killed = begun(HOLD, folder.path)
    folder.checkpoints.mkdir()
    (folder.checkpoints / "2.ckpt").touch()
    (folder.path / ".claim-0123456789abcdef").mkdir()  # of one that was killed before it had a claim
    try:
        assert train(config) == result
        assert find_holder(folder.path) is not None  # it is alive, and may be clearing away itself
        assert folder.list_checkpoints()
    finally:
        ended(killed)
    assert train(config) == result
    assert sorted(file.name for file in folder.path.iterdir()) == files


def test_two_who_leave_clear_one_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of the draft removes it meanwhile, through the folder that it has open."""
    leaving = Claim(tmp_path)
    assert leaving.take() is None
    draft = tmp_path / ".claim-coming"
    draft.mkdir()
    (draft / "file").touch()
    unlink, gone = os.unlink, []

    def overtaken(name: Any, *, dir_fd: int | None = None) -> None:
        if name == "file" and not gone:
            gone.append(name)
            unlink(name, dir_fd=dir_fd)
        unlink(name, dir_fd=dir_fd)

    with leaving:
        monkeypatch.setattr(os, "unlink", overtaken)
    assert gone
    assert list(tmp_path.iterdir()) == []
