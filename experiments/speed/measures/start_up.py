"""How long commands take until they answer, each a process of its own, by the clock."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.speed.clock import Settings
from experiments.speed.measures.study import call_zoo
from experiments.speed.outcome import Row

TRAIN = ["train", "model=gpt/tiny", "data=numbers", "data.limit=100", "steps=1", "evaluate=1", "threads=1"]
COMMANDS = {
    "zoo --help": ["--help"],
    "zoo list": ["list"],
    "zoo show model=gpt": ["show", "model=gpt"],
    "zoo train, one step": TRAIN,
}


def measure(settings: Settings) -> Iterator[Row]:
    """Yields a row for each command, the first call of which is not counted; training ends with its evaluation."""
    rounds = 1 if settings.is_quick else max(3, settings.rounds // 2)
    for name, arguments in COMMANDS.items():
        with tempfile.TemporaryDirectory(prefix="zoo-speed-") as folder:
            seconds = [_time(arguments, Path(folder), number) for number in range(rounds + 1)][1:]
        yield Row("wall time", name, seconds)


def _time(arguments: list[str], folder: Path, number: int) -> float:
    environment = {**os.environ, "ZOO_CACHE": str(folder / "cache")}
    own = [f"runs={folder / str(number)}"] if arguments[0] == "train" else []
    begun = time.perf_counter()
    call_zoo([*arguments, *own], environment)
    return time.perf_counter() - begun
