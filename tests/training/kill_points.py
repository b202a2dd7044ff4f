"""Kills a training before each change that it makes of its folder, one after another, and trains on.

Arguments are a folder and the overrides of the training. Prints, as JSON, the changes that an undisturbed training
makes, and those of them before which a kill left anything else in the end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

import torch

from tests.command import checked
from tests.interruption import left
from zoo.config.checking import CheckedConfig
from zoo.training.run import run_folder, train

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "shutil.rmtree")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT  # flags of an open that changes something


def trained(config: CheckedConfig, where: Path, kill_before: int | None = None) -> tuple[int, list[str]]:
    """Train in another process, there; its exit code, less than zero if it was killed, and the changes it made."""
    where.mkdir(exist_ok=True)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.chdir(where)
        _train(config, os.fdopen(writes, "w"), kill_before)
    os.close(writes)
    with os.fdopen(reads) as told:
        changes = told.read().splitlines()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), changes


def _train(config: CheckedConfig, told: IO[str], kill_before: int | None) -> None:
    changes = 0

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        if event not in CHANGES or (event == "open" and not arguments[2] & WRITES):
            return
        if str(arguments[0]).startswith("runs"):
            changes += 1
            print(event, Path(str(arguments[0])).name, file=told, flush=True)
            if changes == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)
    train(config)
    os._exit(0)


def main(folder: Path, overrides: list[str]) -> None:
    config = checked(*overrides, "runs=runs")
    run = run_folder(config).path
    train(checked(*overrides, f"runs={folder / 'imports'}"))  # once, for all processes that are forked
    undisturbed, changes = trained(config, folder / "undisturbed")
    assert undisturbed == 0
    expected = left(folder / "undisturbed" / run)
    unlike = []
    for number, change in enumerate(changes, 1):
        where = folder / str(number)
        killed, _ = trained(config, where, kill_before=number)
        ended, _ = trained(config, where)
        found = left(where / run)
        if (killed, ended, found) != (-signal.SIGKILL, 0, expected):
            unlike.append([number, change, killed, ended, [key for key in expected if found[key] != expected[key]]])
    print(json.dumps({"changes": changes, "unlike": unlike}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2:])
