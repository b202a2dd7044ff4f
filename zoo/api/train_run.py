"""A training from Python, as ``zoo train`` does it."""

from __future__ import annotations

import os
import sys

import torch

from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.runs.run_result import RunResult
from zoo.system.signals import Interrupted, run_child
from zoo.training import run


def train(*overrides: str) -> RunResult:
    """Trains a model, or returns the result that is there already; an interrupted training is resumed.

    Args:
        overrides: as of ``zoo train``, with the same folder for the same config.
    Raises:
        Refused: with every problem of the config, one a line, before any folder is made.
    """
    checked = check_run(compose_run(overrides))
    checked.require()
    if checked.config.trainer.arguments.get("devices") == 1:
        threads = torch.get_num_threads()
        try:
            run.train(checked)
        finally:
            torch.set_num_threads(threads)
    elif code := run_command("train", *overrides):  # Lightning starts the command of this process on each device
        raise RuntimeError(f"the process of the training ended with exit code {code}")
    return RunResult.read(run.run_folder(checked).path)


def run_command(*words: str) -> int:
    """Runs a command of zoo in a process of its own and returns its exit code.

    Raises:
        Interrupted: if a signal ended it.
    """
    sys.stdout.flush()
    code = run_child([sys.executable, "-m", "zoo", *words], os.environ)
    if code < 0 or code > 128:
        raise Interrupted(-code if code < 0 else code - 128)
    return code
