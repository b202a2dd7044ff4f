"""``zoo study --dry-run`` of 1,000 cells: 20 arms of different widths, 50 seeds."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from experiments.speed.clock import Settings
from experiments.speed.measures.study import call_zoo
from experiments.speed.outcome import Row

ARMS, SEEDS = 20, 50


def measure(settings: Settings) -> Iterator[Row]:
    """Yields one row, in seconds by the clock; texts are tokenized before."""
    arms, seeds = (4, 5) if settings.is_quick else (ARMS, SEEDS)
    with tempfile.TemporaryDirectory(prefix="zoo-speed-") as folder:
        path = Path(folder) / "widths" / "study.yaml"
        path.parent.mkdir()
        environment = {**os.environ, "ZOO_CACHE": str(Path(folder) / "cache")}
        seconds = []
        for size in ((1, 1), (arms, seeds)):
            path.write_text(yaml.safe_dump(make_study(*size), sort_keys=False), encoding="utf8")
            begun = time.perf_counter()
            call_zoo(["study", str(path), "--dry-run", f"runs={Path(folder) / 'runs'}"], environment)
            seconds.append(time.perf_counter() - begun)
    yield Row(f"{arms * seeds:,} cells", "zoo", seconds[1:], values={"arms": arms, "seeds": seeds})


def make_study(arms: int, seeds: int) -> dict[str, Any]:
    """Makes a study whose arms differ in the width of the feed-forward."""
    overrides = {"model": "gpt/tiny", "data": "numbers", "data.limit": 500, "steps": 60, "evaluate": 60}
    widths = {f"width_{64 + 16 * arm}": {"model.hidden": 64 + 16 * arm} for arm in range(arms)}
    return {
        "question": "How wide should the feed-forward be?",
        "expected": "Wider is better.",
        "baseline": next(iter(widths)),
        "seeds": list(range(1, seeds + 1)),
        "overrides": overrides,
        "arms": widths,
        "tasks": {"spelling": {"metrics": ["target_nll"]}},
    }
