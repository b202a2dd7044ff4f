"""A training step: forward, loss, backward, clipping and fused AdamW, eager and compiled."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from experiments.speed.clock import Settings, compute_ratios
from experiments.speed.limit import make_limit
from experiments.speed.outcome import Row
from experiments.speed.shapes import SMALL, TINY, Shape
from experiments.speed.sides import PLAIN_INPUTS, ZOO, Sides, build_peers, make_sides
from experiments.speed.work import build_model, make_batches, make_objective, make_plain_step, make_zoo_step

LIMIT, PRESET = "limit", "zoo, GELU by tanh"
COMPILED = {"gpt": ("plain loop", "transformers"), "llama": ("transformers", "LitGPT")}
COMPILER = "zoo.training.compile_model"
OTHERS = {"gpt": ("torch.nn", "x-transformers"), "llama": ("x-transformers",)}


def measure(settings: Settings) -> Iterator[Row]:
    """Yields rows of all families, shapes and ways; compilation takes a minute, so not when quick."""
    for shape in (TINY,) if settings.is_quick else (SMALL, TINY):
        for family in COMPILED:
            yield from measure_eager(family, shape, settings)
            if not settings.is_quick:
                yield from measure_compiled(family, shape, settings)


def measure_eager(family: str, shape: Shape, settings: Settings) -> Iterator[Row]:
    """Yields rows of eager steps, with their share of the limit."""
    sides = make_sides(family, shape, make_batches(shape))
    if family == "gpt":
        preset = build_model(family, shape, "model.ffn.activation=gelu_tanh")
        sides.steps[PRESET] = make_zoo_step(preset, make_objective(shape), make_batches(shape).packed)
        sides.notes[PRESET] = "the preset model=gpt itself, with the GELU of GPT-2, which peers do not compute here"
    sides.steps[LIMIT] = make_limit(family, shape)
    sides.notes[LIMIT] = "matrix products and attention alone"
    rows = sides.time(f"{shape.name} {family} eager", settings, (ZOO, PLAIN_INPUTS, PRESET))
    limit = next(row.seconds for row in rows if row.side == LIMIT)
    for row in rows:
        if row.seconds and row.side != LIMIT:
            row = replace(row, ratios={**row.ratios, "share of the limit": compute_ratios(limit, row.seconds)})
        yield row


def measure_compiled(family: str, shape: Shape, settings: Settings) -> Iterator[Row]:
    """Yields rows of steps after compilation: of zoo by ``compile: true``, of peers by ``torch.compile`` as a whole."""
    batches, model = make_batches(shape), build_model(family, shape)
    models, notes = build_peers(family, shape, COMPILED[family])
    sides = Sides(notes=notes, peers=list(models))
    if importlib.util.find_spec(COMPILER) is None:
        sides.notes[ZOO] = "this version has no compile: true"
    else:
        compiler: Any = importlib.import_module(COMPILER)
        compiler.compile_model(model, "documents")
        sides.steps[ZOO] = make_zoo_step(model, make_objective(shape), batches.packed)
    for name, peer in models.items():
        sides.steps[name] = make_plain_step(peer, torch.compile(peer), batches.plain)
    sides.notes.update(dict.fromkeys(OTHERS[family], "left out: compilation takes a minute"))
    yield from sides.time(f"{shape.name} {family} compiled", settings)
    torch.compiler.reset()
