"""Run folders as a training leaves them, made up but plausible."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from zoo.report import Run, Study, Task, read_run
from zoo.runs.run_result import RunResult

COLUMNS = (
    "step",
    "tokens",
    "seconds",
    "train/loss",
    "train/gradient_norm",
    "train/learning_rate",
    "train/tokens_per_second",
    "validation/loss",
    "validation/perplexity",
    "validation/exact_match",
)

WriteRun = Callable[..., Path]
MakeStudy = Callable[..., tuple[Study, list[Run]]]


def _curves(path: Path, final: float, accuracy: float, steps: int, noise: random.Random) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for step in range(0, steps + 1, 10):
            share = 1 - math.exp(-4 * step / steps)
            loss = 4.6 - (4.6 - final) * share
            row: dict[str, float] = {"step": step, "tokens": step * 512, "seconds": step * 0.031}
            row |= {"train/loss": loss + noise.gauss(0, 0.04), "train/gradient_norm": 1 + noise.random()}
            row |= {"train/learning_rate": 1e-3 * share, "train/tokens_per_second": 16000 + noise.gauss(0, 300)}
            if step % 50 == 0:
                held_out = loss + 0.05 + noise.gauss(0, 0.01)
                row |= {"validation/loss": held_out, "validation/perplexity": math.exp(held_out)}
                row |= {"validation/exact_match": min(1.0, accuracy * share + abs(noise.gauss(0, 0.004)))}
            writer.writerow(row)


def _samples(accuracy: float, noise: random.Random) -> list[dict[str, str]]:
    pairs = [("four hundred and twelve", "412"), ("ninety-one", "91"), ("six thousand and seven", "6007")]
    pairs += [("fifty-five", "55"), ("seven hundred and thirty", "730"), ("eleven thousand two hundred", "11200")]
    wrong = [target[: len(target) // 2] + ("" if i % 3 == 2 else "70") for i, (_, target) in enumerate(pairs)]
    said = [target if noise.random() < accuracy else bad for (_, target), bad in zip(pairs, wrong, strict=True)]
    return [{"source": s, "target": t, "prediction": p} for (s, t), p in zip(pairs, said, strict=True)]


@pytest.fixture
def hostile() -> str:
    """A name that would run code on a page that does not escape it."""
    return "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def write_run() -> WriteRun:
    """Write one run's folder; ``state`` is done, running, failed or planned (no folder at all)."""

    def write(
        folder: Path,
        config: Mapping[str, Any],
        *,
        seed: int = 0,
        loss: float = 0.4,
        accuracy: float = 0.9,
        state: str = "done",
        metrics: Mapping[str, float | None] | None = None,
        result: Mapping[str, Any] | None = None,
        steps: int = 1000,
        error: str = "RuntimeError: out of memory",
    ) -> Path:
        if state == "planned":
            return folder
        noise = random.Random(f"{folder.name}{seed}")
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({**config, "seed": seed}))
        final = loss + noise.gauss(0, 0.008)
        share = min(1.0, max(0.0, accuracy + noise.gauss(0, 0.01)))
        _curves(folder / "metrics.csv", final, share, steps, noise)
        if state == "failed":
            told = {"error": error, "traceback": f"Traceback (most recent call last):\n  …\n{error}"}
            (folder / "failed.json").write_text(json.dumps(told))
        if state != "done":
            return folder
        measured = {"loss": final, "perplexity": math.exp(final), "exact_match": share}
        outcome: dict[str, Any] = {
            "metrics": {**measured, "tokens_per_second": 16000 + noise.gauss(0, 200), **(metrics or {})},
            "cost": {"parameters": 812_544, "flops_per_token": 5_400_000, "peak_memory_bytes": 120_000_000},
            "steps": steps,
            "tokens": steps * 512,
            "seconds": steps * 0.031,
            "samples": _samples(share, noise),
            "fingerprints": {"data": "9f2c4d1e", "code": "77ab03c2"},
            "versions": {"zoo": "0.1.0", "torch": "2.13.0", "python": "3.11.9"},
            "hardware": {"processor": "AMD EPYC", "cores": 2},
            "git": "4f1d2c9",
            "started": "2026-01-05T10:12:00",
            **(result or {}),
        }
        (folder / "result.json").write_text(json.dumps(outcome))
        return folder

    return write


@pytest.fixture
def make_study(tmp_path: Path, write_run: WriteRun) -> MakeStudy:
    """A study of ``arms`` (losses by name) on tasks, with its runs written below ``tmp_path``."""

    def make(
        arms: Mapping[str, float],
        seeds: Sequence[int] = (0, 1, 2),
        tasks: Sequence[Task] = (Task("numbers", True, ("exact_match", "loss")),),
        baseline: str | None = None,
        question: str = "Does an encoder help a model of this size to write numbers in digits?",
        **options: Any,
    ) -> tuple[Study, list[Run]]:
        runs = []
        for task in tasks:
            for number, (arm, loss) in enumerate(arms.items()):
                config = {"model": {"name": arm, "dim": 128, "layers": 4}, "data": {"name": task.name}, "steps": 1000}
                config |= {"objective": {"name": "causal"}, "optimizer": {"lr": 1e-3}}
                for seed in seeds:
                    folder = tmp_path / "runs" / f"{task.name}{number:02d}{seed}"
                    write_run(folder, config, seed=seed, loss=loss, accuracy=max(0.0, 1.0 - loss / 4), **options)
                    runs.append(read_run(folder, arm, task.name, seed))
        overrides = {arm: {} if arm == baseline else {"model": {"name": arm}} for arm in arms}
        command = "zoo study experiments/numbers"
        return Study("Encoders and numbers", question, "", baseline, overrides, tuple(tasks), (), command), runs

    return make


@pytest.fixture
def runs_of() -> Callable[..., list[Run]]:
    """Runs without folders, of values by arm and seed; null is a run that diverged, and ``...`` one not finished."""

    def make(
        values: Mapping[str, Mapping[int, Any]], task: str = "t", metric: str = "exact_match", **more: Any
    ) -> list[Run]:
        found = []
        for arm, by_seed in values.items():
            for seed, value in by_seed.items():
                config = {"data": {"name": task}, "model": {"name": arm}, "seed": seed}
                folder = Path(f"{task} {arm} {seed}")
                result = None if value is ... else RunResult(folder=folder, metrics={metric: value}, **more)
                found.append(Run(arm, task, seed, folder, config, result, None, pl.DataFrame()))
        return found

    return make


def _full_run(arm: str, number: int, task: Task, seed: int, rate: float, tuning: bool) -> Run:
    """A run that tells all that a report can draw; arms are ``number`` times 5 points apart."""
    luck = random.Random(f"{arm}{task.name}{seed}{rate}{tuning}").gauss(0, 0.01)
    score = 0.7 + 0.05 * number + luck - (0.1 if rate > 2e-3 else 0.0)
    steps = [float(step) for step in range(10, 210, 10)]
    curves: dict[str, list[float | None]] = {"step": [*steps], "tokens": [512 * s for s in steps], "seconds": [*steps]}
    curves["train/loss"] = [4 - 3 * score * step / 200 for step in steps]
    curves["validation/exact_match"] = [score * step / 200 if step % 50 == 0 else None for step in steps]
    for layer in range(4):
        told = {10.0: 1.0 + layer, 200.0: 2.0 + layer * (1 + number)}
        curves[f"depth/activation/decoder/{layer}"] = [told.get(step) for step in steps]
        curves[f"depth/gradient/decoder/{layer}"] = [told.get(step, 0.0) / 100 or None for step in steps]
    cost = {"parameters": 10**6 * (1 + number), "active_parameters": 10**6, "flops_per_token": 6 * 10**6 * (3 - number)}
    cost |= {"cache_bytes": 4096 * (1 + number), "length": 32, "peak_memory_bytes": 10**8}
    lengths = {str(n): {"exact_match": score * min(1.0, 16 / n), "rows": 9} for n in (8, 16, 32)}
    metrics = {"exact_match": score, "loss": 4 - 3 * score, "tokens_per_second": 16000.0}
    config = {"model": {"name": arm}, "data": {"name": "copy", "train_length": 16}, "optimizer": {"lr": rate}}
    folder = Path(f"{task.name}{number}{seed}{rate}{tuning}")
    result = RunResult(folder=folder, metrics=metrics, cost=cost, tokens=102400, seconds=200.0, by_length=lengths)
    return Run(arm, task.name, seed, folder, config, result, None, pl.DataFrame(curves), (), rate, tuning)


@pytest.fixture(scope="session")
def full_study() -> tuple[Study, list[Run]]:
    """Three arms on one task at two sizes, their learning rates tried: there is something to show in every chart."""
    tasks = tuple(
        Task(f"copy {size}", True, ("exact_match", "loss"), "", 1.0, "copy", size) for size in ("small", "large")
    )
    arms = ("plain", "gated", "doubly gated")
    runs = [_full_run(arm, i, task, s, 1e-3, False) for task in tasks for i, arm in enumerate(arms) for s in (1, 2, 3)]
    tried = (5e-4, 1e-3, 4e-3)
    runs += [_full_run(arm, i, t, 101, rate, True) for t in tasks for i, arm in enumerate(arms) for rate in tried]
    overrides = {arm: {} if arm == "plain" else {"model/ffn": arm} for arm in arms}
    return Study("Gates", "Do gates help?", "They do.", "plain", overrides, tasks, (), "zoo study gates"), runs
