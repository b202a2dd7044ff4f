"""Batches of 1 to 32 rows: time for each token, of zoo on packed documents and of the plain loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from experiments.speed.clock import Settings
from experiments.speed.outcome import Row
from experiments.speed.shapes import SMALL, TINY
from experiments.speed.sides import make_sides
from experiments.speed.work import make_batches

SIZES = (1, 2, 4, 8, 16, 32)


def measure(settings: Settings) -> Iterator[Row]:
    """Yields rows of the small GPT, in seconds a token."""
    few, base = replace(settings, rounds=max(2, settings.rounds // 2)), TINY if settings.is_quick else SMALL
    for batch in (1, 4) if settings.is_quick else SIZES:
        shape = base.resize(base.name, batch=batch)
        sides = make_sides("gpt", shape, make_batches(shape, 2), ("plain loop",))
        for row in sides.time(f"{shape.name} gpt, batch {batch}", few):
            yield replace(row, seconds=[each / shape.tokens for each in row.seconds])
