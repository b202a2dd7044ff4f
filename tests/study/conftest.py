"""Begins ``zoo`` commands, each as its own process, without waiting for imports each time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.study.processes import Begin, Process
from tests.study.test_study import BASIC


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    ready = tmp_path_factory.mktemp("zygote") / "ready"
    command = [sys.executable, "-m", "tests.study.zygote", str(ready)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield process
        process.kill()


@pytest.fixture
def begin(zygote: subprocess.Popen[str], tmp_path: Path) -> Iterator[Begin]:
    """Begin ``zoo study``, or another command, in a folder; what is left of it in the end is killed."""
    begun: list[Process] = []

    def make(
        where: Path,
        *arguments: str,
        launcher: list[str] = BASIC,
        out: Path | None = None,
        command: list[str] | None = None,
    ) -> Process:
        out = out or tmp_path / f"{len(begun)}.out"
        out.touch()
        words = command or ["study", str(tmp_path / "heads"), *launcher]
        line = json.dumps([str(out), str(where), [*words, *arguments]])
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        zygote.stdin.write(f"{line}\n")
        zygote.stdin.flush()
        begun.append(Process(int(zygote.stdout.readline()), out))
        return begun[-1]

    yield make
    for process in begun:
        if process.runs():
            process.kill()
