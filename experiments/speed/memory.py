"""Peak memory of work in a fresh process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch

from zoo.training.provenance import PeakMemory

Result = TypeVar("Result")


def run_in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Calls a function of a module in a process of its own, which has imported nothing before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure_peak_bytes(build: Callable[[], Callable[[], object]], steps: int, threads: int) -> int:
    """Measures the most resident memory during some steps, above what the process has when the model is built.

    It includes gradients and the state of the optimizer, which are made in the first step.

    Args:
        build: builds the model and returns its step.
        steps: number of steps.
        threads: threads of PyTorch.
    """
    torch.set_num_threads(threads)
    step = build()
    before, peak = _read_resident_bytes(), PeakMemory()
    for _ in range(steps):
        step()
    return peak.read_bytes() - before


def _read_resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
