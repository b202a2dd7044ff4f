"""Begins ``zoo`` commands in an instant, each as its own process: imports once, and forks for each line that it reads.

A line is a JSON list: a file for what the command prints, the folder to be in, and its arguments. Every training that
is begun leaves a line in ``trained.log`` there; the exit code, if there is one, is the last line of the file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import hydra  # noqa: F401
import torch

import zoo.report.output.html
import zoo.study.run_study
import zoo.training.fit  # noqa: F401
from zoo.cli import main as cli
from zoo.training import run as run_module

fit = run_module.fit


def logged(job: Any, claim: Any) -> Any:
    with open("trained.log", "a") as log:
        log.write(f"{job.folder.path.name}\n")
    return fit(job, claim)


def command(out: str, where: str, arguments: list[str]) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(where)
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["zoo", *arguments]
    run_module.fit = logged
    try:
        cli.main()
    except SystemExit as end:
        print(f"\n{end.code}", flush=True)
    except BaseException:
        traceback.print_exc()
    os._exit(0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who ends is gone at once
    Path(sys.argv[1]).touch()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            command(*json.loads(line))
        print(child, flush=True)
