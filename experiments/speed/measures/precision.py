"""The default ``precision: auto`` against float32 and mixed bfloat16, on packed documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from experiments.speed.clock import Settings, compute_ratios, run_in_turn
from experiments.speed.limit import compute_cast_seconds, make_limit
from experiments.speed.outcome import Row
from experiments.speed.shapes import MEDIUM, SMALL, TINY, Shape, list_overrides
from experiments.speed.work import build_model, make_batches, make_objective, make_zoo_step
from zoo.config.checking import check_run
from zoo.config.compose import compose_run

FULL, MIXED, LIMIT = "32-true", "bf16-mixed", "limit, bf16"


def measure(settings: Settings) -> Iterator[Row]:
    """Yields a row for each precision; that of ``auto`` repeats the times of the one that it chooses."""
    few = replace(settings, rounds=max(2, settings.rounds // 2))
    for shape in (TINY,) if settings.is_quick else (TINY, SMALL, MEDIUM):
        for family in ("gpt",) if settings.is_quick else ("gpt", "llama"):
            yield from _measure(family, shape, few)


def _measure(family: str, shape: Shape, settings: Settings) -> Iterator[Row]:
    batches, objective, case = make_batches(shape), make_objective(shape), f"{shape.name} {family}"
    steps = {
        precision: make_zoo_step(build_model(family, shape), objective, batches.packed, precision)
        for precision in (FULL, MIXED)
    }
    seconds = run_in_turn({**steps, LIMIT: make_limit(family, shape, torch.bfloat16)}, settings)
    cast, chosen = compute_cast_seconds(family, shape), find_automatic_precision(family, shape)
    seconds[LIMIT] = [each + cast for each in seconds[LIMIT]]
    share = compute_ratios(seconds[LIMIT], seconds[MIXED])
    float32 = {"of float32": compute_ratios(seconds[chosen], seconds[FULL])}
    yield Row(case, "auto", seconds[chosen], float32, note=f"chooses {chosen}")
    yield Row(case, FULL, seconds[FULL])
    of_float32 = compute_ratios(seconds[MIXED], seconds[FULL])
    yield Row(case, MIXED, seconds[MIXED], {"of float32": of_float32, "share of the limit": share})
    moved = f"products and attention, and {1e3 * cast:.2g} ms to move what is converted"
    yield Row(case, LIMIT, seconds[LIMIT], note=moved)


def find_automatic_precision(family: str, shape: Shape) -> str:
    """Finds the precision that a run of this model has on this machine if none is given."""
    overrides = [f"data.length={shape.length}", f"batch={shape.batch}", "precision=auto", "trainer=cpu"]
    checked = check_run(compose_run([*list_overrides(family, shape), *overrides]), was_trained=lambda checked: True)
    checked.require()
    return str(checked.config.precision)
