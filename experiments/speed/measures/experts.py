"""Mixtures of 8 and 64 experts with two active, so equal active parameters: zoo and Mixtral of transformers."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from experiments.speed.clock import Settings, compute_ratios, run_in_turn
from experiments.speed.equal_work import UnequalWork, require_equal_work
from experiments.speed.outcome import Row
from experiments.speed.peers import LogitsOnly
from experiments.speed.shapes import SMALL, TINY, Shape
from experiments.speed.sides import ZOO
from experiments.speed.work import make_batches, make_objective, make_plain_step, make_zoo_step, perturb
from zoo import build
from zoo.hub import save
from zoo.model.variants.variant import Variant

EXPERTS = (8, 64)
PEER = "transformers"


def measure(settings: Settings) -> Iterator[Row]:
    """Yields rows of both sides, with the ratio of 64 to 8 experts and, of zoo, that to transformers."""
    shape, few = TINY if settings.is_quick else SMALL, replace(settings, rounds=max(2, settings.rounds // 2))
    batches, objective = make_batches(shape), make_objective(shape)
    steps, note = {}, ""
    for experts in EXPERTS:
        steps[ZOO, experts] = make_zoo_step(build_mixture(shape, experts), objective, batches.packed)
        try:
            model = build_equal_mixtral(shape, experts)
            steps[PEER, experts] = make_plain_step(model, model, batches.plain)
        except (UnequalWork, ImportError) as error:
            note = str(error)
    taken = run_in_turn({f"{side} {experts}": step for (side, experts), step in steps.items()}, few)
    for side, experts in ((side, experts) for experts in EXPERTS for side in (ZOO, PEER)):
        seconds, ratios = taken.get(f"{side} {experts}", []), {}
        if seconds and experts == EXPERTS[1] and (fewer := taken.get(f"{side} {EXPERTS[0]}")):
            ratios["of 8 experts"] = compute_ratios(seconds, fewer)
        if side == ZOO and (other := taken.get(f"{PEER} {experts}")):
            ratios["of transformers"] = compute_ratios(seconds, other)
        yield Row(f"{shape.name} mixtral, {experts} experts", side, seconds, ratios, note=note if side == PEER else "")


def build_mixture(shape: Shape, experts: int) -> Variant:
    """Builds Mixtral in zoo, without a loss for its router."""
    sizes = {"dim": shape.dim, "layers": shape.layers, "heads": shape.heads, "vocabulary": shape.vocabulary}
    given = [f"model.{name}={size}" for name, size in sizes.items()]
    router = [f"model.ffn.experts={experts}", "model.ffn.router.aux_loss=0"]
    own = [f"model.attention.kv_heads={shape.kv_heads}", f"model.hidden={_get_expert_width(shape)}"]
    return build("model=mixtral", *given, *router, *own)


def build_equal_mixtral(shape: Shape, experts: int) -> nn.Module:
    """Builds Mixtral of transformers from the checkpoint that zoo writes, and checks that its logits are equal."""
    transformers: Any = importlib.import_module("transformers")
    ours = build_mixture(shape, experts)
    perturb(ours)
    with tempfile.TemporaryDirectory() as folder:
        save(ours, Path(folder), family="mixtral")
        theirs = LogitsOnly(transformers.AutoModelForCausalLM.from_pretrained(folder))
    require_equal_work(ours, theirs, shape, PEER, counted=False)
    return theirs


def _get_expert_width(shape: Shape) -> int:
    return shape.get_hidden("llama") // 2
