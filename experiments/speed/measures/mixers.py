"""Mixers other than attention in a small Llama, in rows of 512 tokens, against multi-head attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from experiments.speed.clock import Settings, compute_ratios, run_in_turn
from experiments.speed.outcome import Row
from experiments.speed.shapes import SMALL, TINY, list_overrides
from experiments.speed.work import make_batches, make_objective, make_zoo_step
from zoo import build
from zoo.checks import Refused

BASE = "multi_head"
MIXERS = ("mamba2", "gated_delta", "gated_linear", "retention", "lstm", "gru", "linear", "native_sparse")
MOST = 2.0
REASONS = {
    "lstm": "reads tokens one after another",
    "gru": "reads tokens one after another",
    "native_sparse": "the plain form, which computes all pairs of queries and keys for three branches",
}
"""Reasons why a mixer may take more than twice the time."""


def measure(settings: Settings) -> Iterator[Row]:
    """Yields a row for each mixer, all on plain rows, as not every mixer can pack documents."""
    shape = (TINY if settings.is_quick else SMALL).resize("length 512", length=512, batch=2)
    few, views = replace(settings, rounds=max(2, settings.rounds // 3)), make_batches(shape, 2).plain
    sizes = [each for each in list_overrides("llama", shape) if "kv_heads" not in each]
    steps, missing = {}, {}
    for mixer in (BASE, *(MIXERS[:2] if settings.is_quick else MIXERS)):
        position = [] if mixer in (BASE, "native_sparse") else ["model/position=none"]
        try:
            model = build(*sizes, f"model/attention={mixer}", *position)
        except Refused as error:
            missing[mixer] = str(error)
            continue
        steps[mixer] = make_zoo_step(model, make_objective(shape), views)
    seconds = run_in_turn(steps, few)
    for mixer in (*steps, *missing):
        if mixer in missing:
            yield Row(shape.name, mixer, note=missing[mixer])
            continue
        ratio = compute_ratios(seconds[mixer], seconds[BASE])
        note = REASONS.get(mixer, "above 2 for no stated reason") if ratio[1] > MOST else ""
        yield Row(shape.name, mixer, seconds[mixer], {} if mixer == BASE else {f"of {BASE}": ratio}, note=note)
