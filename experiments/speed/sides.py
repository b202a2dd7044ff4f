"""Sides of a comparison: the steps of zoo and of its peers on the same tokens, after proof that they do equal work."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from experiments.speed.clock import Settings, compute_ratios, find_fastest, run_in_turn
from experiments.speed.equal_work import UnequalWork, build_equal_peer
from experiments.speed.outcome import Row
from experiments.speed.peers import Peer, list_peers
from experiments.speed.shapes import Shape
from experiments.speed.work import Batches, build_model, make_objective, make_plain_step, make_zoo_step, perturb
from zoo.model.variants.variant import Variant

ZOO, PLAIN_INPUTS = "zoo", "zoo, no segments"


@dataclass
class Sides:
    """Sides of a case, and why others are missing.

    Attributes:
        steps: of each side that can be measured.
        notes: of sides that differ in something, or are missing.
        peers: names of the sides that are peers.
    """

    steps: dict[str, Callable[[], object]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    peers: list[str] = field(default_factory=list)

    def time(self, case: str, settings: Settings, ours: Sequence[str] = (ZOO,)) -> list[Row]:
        """Times all sides in turn and returns a row for each, missing ones included.

        Rows of ``ours`` have their ratio to the fastest peer, named ``of fastest peer``.
        """
        seconds = run_in_turn(self.steps, settings)
        fastest = find_fastest(seconds, self.peers)
        rows = []
        for side in {**self.steps, **self.notes}:
            ratios: Mapping[str, Sequence[float]] = {}
            if side in ours and fastest is not None and side in seconds:
                ratios = {"of fastest peer": compute_ratios(seconds[side], seconds[fastest])}
            rows.append(Row(case, side, seconds.get(side, ()), ratios, note=self.notes.get(side, "")))
        return rows


def build_peers(family: str, shape: Shape, only: Sequence[str] = ()) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Builds the peers of a family that do the work of zoo's model.

    Args:
        family: ``gpt`` or ``llama``.
        shape: of the model.
        only: names of peers; empty for all.
    Returns:
        models by name; and notes by name: differences, or why a peer is missing.
    """
    model = build_model(family, shape)
    perturb(model)
    models: dict[str, nn.Module] = {}
    notes: dict[str, str] = {}
    for peer in list_peers(family):
        if only and peer.name not in only:
            continue
        reason = peer.find_reason_missing() or _try(peer, shape, model, models)
        if reason or peer.differences:
            notes[peer.name] = reason or peer.differences
    return models, notes


def _try(peer: Peer, shape: Shape, model: Variant, models: dict[str, nn.Module]) -> str:
    try:
        models[peer.name] = build_equal_peer(peer, shape, model)
    except (UnequalWork, ImportError) as error:
        return str(error)
    return ""


def make_sides(family: str, shape: Shape, batches: Batches, only: Sequence[str] = ()) -> Sides:
    """Makes the training steps of zoo, on packed documents and on plain inputs, and of the peers of a family."""
    objective = make_objective(shape)
    models, notes = build_peers(family, shape, only)
    sides = Sides(notes=notes, peers=list(models))
    sides.steps[ZOO] = make_zoo_step(build_model(family, shape), objective, batches.packed)
    sides.steps[PLAIN_INPUTS] = make_zoo_step(build_model(family, shape), objective, batches.plain)
    for name, model in models.items():
        sides.steps[name] = make_plain_step(model, model, batches.plain)
    return sides


def get_median(rows: Sequence[Row], side: str) -> float:
    """Returns the median seconds of a side."""
    return statistics.median(next(row.seconds for row in rows if row.side == side))
