"""A training step: forward, loss, backward, clipping and fused AdamW, eager and compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from experiments.speed.clock import Settings, compute_ratios
from experiments.speed.limit import make_limit
from experiments.speed.outcome import Row
from experiments.speed.shapes import SMALL, TINY, Shape
from experiments.speed.sides import PLAIN_INPUTS, ZOO, make_sides
from experiments.speed.work import build_model, make_batches, make_objective, make_zoo_step

LIMIT, PRESET = "limit", "zoo, GELU by tanh"
FAMILIES = ("gpt", "llama")


def measure(settings: Settings) -> Iterator[Row]:
    """Yields rows of all families, shapes and ways."""
    for shape in (TINY,) if settings.is_quick else (SMALL, TINY):
        for family in FAMILIES:
            yield from measure_eager(family, shape, settings)


def measure_eager(family: str, shape: Shape, settings: Settings) -> Iterator[Row]:
    """Yields rows of eager steps, with the share of the limit."""
    case, batches = f"{shape.name} {family} eager", make_batches(shape)
    sides = make_sides(family, shape, batches)
    if family == "gpt":
        preset = build_model(family, shape, "model.ffn.activation=gelu_tanh")
        sides.steps[PRESET] = make_zoo_step(preset, make_objective(shape), batches.packed)
        sides.notes[PRESET] = "the preset model=gpt itself, with the GELU of GPT-2, which peers do not compute here"
    sides.steps[LIMIT] = make_limit(family, shape)
    sides.notes[LIMIT] = "matrix products and attention alone"
    rows = sides.time(case, settings, (ZOO, PLAIN_INPUTS, PRESET))
    limit = next(row.seconds for row in rows if row.side == LIMIT)
    for row in rows:
        if row.seconds and row.side != LIMIT:
            row = replace(row, ratios={**row.ratios, "share of the limit": compute_ratios(limit, row.seconds)})
        yield row
