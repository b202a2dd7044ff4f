"""Time and peak memory of a step at a vocabulary of 50,304 tokens, where logits are most of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from experiments.speed.clock import Settings
from experiments.speed.memory import measure_peak_bytes, run_in_fresh_process
from experiments.speed.outcome import Row
from experiments.speed.peers import list_peers
from experiments.speed.shapes import SMALL, TINY, Shape
from experiments.speed.sides import PLAIN_INPUTS, ZOO, make_sides
from experiments.speed.work import build_model, make_batches, make_objective, make_plain_step, make_zoo_step

VOCABULARY = 50_304
STEPS = 3  # for peak memory
ONLY = {"gpt": ("plain loop", "transformers"), "llama": ("transformers", "LitGPT")}


def measure(settings: Settings) -> Iterator[Row]:
    """Yields rows of both families; ``peak memory`` is in bytes above the built model."""
    shape = (TINY if settings.is_quick else SMALL).resize(f"vocabulary {VOCABULARY:,}", vocabulary=VOCABULARY)
    few = replace(settings, rounds=max(2, settings.rounds // 2))
    for family, only in (("gpt", ONLY["gpt"][:1]),) if settings.is_quick else ONLY.items():
        rows = make_sides(family, shape, make_batches(shape, 2), only).time(f"{shape.name} {family}", few)
        peaks = {
            row.side: run_in_fresh_process(measure_peak, row.side, family, shape, settings.threads)
            for row in rows
            if row.seconds and row.side != PLAIN_INPUTS
        }
        least = min(peaks[name] for name in peaks if name in only)
        for row in rows:
            if row.side in peaks:
                ratios = {"peak of the least peer": [peaks[row.side] / least] * 3} if row.side == ZOO else {}
                row = replace(row, values={"peak memory": peaks[row.side]}, ratios={**row.ratios, **ratios})
            yield row


def measure_peak(side: str, family: str, shape: Shape, threads: int) -> int:
    """Measures the peak of a side in bytes; called in a process of its own."""
    return measure_peak_bytes(lambda: _build(side, family, shape), STEPS, threads)


def _build(side: str, family: str, shape: Shape) -> Callable[[], object]:
    batches = make_batches(shape, 2)
    if side == ZOO:
        return make_zoo_step(build_model(family, shape), make_objective(shape), batches.packed)
    model = next(peer for peer in list_peers(family) if peer.name == side).build(shape)
    return make_plain_step(model, model, batches.plain)
