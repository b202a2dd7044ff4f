"""Rows of 512 to 8,192 tokens, with a window of 512 and with full attention: time and memory for each token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from experiments.speed.clock import Settings, compute_quartiles, run_in_turn
from experiments.speed.memory import measure_peak_bytes, run_in_fresh_process
from experiments.speed.outcome import Row
from experiments.speed.shapes import SMALL
from experiments.speed.work import build_model, make_batches, make_objective, make_zoo_step

LENGTHS = (512, 1024, 2048, 4096, 8192)
SIDES = {"window 512": ["model.attention.scores.window=512"], "full attention": []}
FIRST = 1024  # that longer rows are compared with


def measure(settings: Settings) -> Iterator[Row]:
    """Yields a row for each length and side, in seconds a token; a step reads one row of packed documents."""
    lengths = LENGTHS[:2] if settings.is_quick else LENGTHS
    few = replace(settings, rounds=max(1, settings.rounds // 3))
    taken: dict[str, dict[int, Row]] = {side: {} for side in SIDES}
    for length in lengths:
        seconds = run_in_turn({side: make_step(side, length) for side in SIDES}, few)
        for side in SIDES:
            peak = run_in_fresh_process(measure_peak, side, length, settings.threads)
            row = Row(
                f"{length:,} tokens",
                side,
                [each / length for each in seconds[side]],
                values={"peak memory": peak, "bytes a token": peak / length},
            )
            taken[side][length] = row
            yield _compare(row, taken[side].get(FIRST))


def _compare(row: Row, first: Row | None) -> Row:
    """Adds time and memory a token by those of a row of 1,024 tokens, which was measured before."""
    if first is None:
        return row
    times = [each / compute_quartiles(first.seconds)[1] for each in compute_quartiles(row.seconds)]
    memory = row.values["bytes a token"] / first.values["bytes a token"]
    ratios: dict[str, Sequence[float]] = {"time of 1,024": times, "memory of 1,024": [memory] * 3}
    return replace(row, ratios=ratios)


def make_step(side: str, length: int) -> Callable[[], object]:
    """Makes the training step of a side."""
    shape = SMALL.resize("long", length=length, batch=1)
    views = make_batches(shape, 2).packed
    return make_zoo_step(build_model("llama", shape, *SIDES[side]), make_objective(shape), views)


def measure_peak(side: str, length: int, threads: int) -> int:
    """Measures the peak of a side in bytes; called in a process of its own."""
    return measure_peak_bytes(lambda: make_step(side, length), 2, threads)
