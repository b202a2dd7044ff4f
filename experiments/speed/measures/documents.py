"""Packed documents against plain causal rows of the same tokens, both in zoo."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.speed.clock import Settings, compute_ratios, run_in_turn
from experiments.speed.outcome import Row
from experiments.speed.shapes import SMALL, TINY
from experiments.speed.work import build_model, make_batches, make_objective, make_zoo_step

LONG = SMALL.resize("small, length 1,024", length=1024, batch=2)


def measure(settings: Settings) -> Iterator[Row]:
    """Yields rows of both families; the ratio of packed to plain is that of packed documents."""
    for shape in (TINY,) if settings.is_quick else (SMALL, LONG, TINY):
        batches, objective = make_batches(shape), make_objective(shape)
        for family in ("gpt", "llama"):
            views = {"packed documents": batches.packed, "plain causal": batches.plain}
            steps = {name: make_zoo_step(build_model(family, shape), objective, given) for name, given in views.items()}
            seconds = run_in_turn(steps, settings)
            packed, plain = seconds["packed documents"], seconds["plain causal"]
            case = f"{shape.name} {family}"
            yield Row(case, "packed documents", packed, {"of plain causal": compute_ratios(packed, plain)})
            yield Row(case, "plain causal", plain)
