"""Broken objectives, each with one fault, and the checks of parts of a batch that find it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest
import torch

from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.inputs import Inputs
from zoo.model.objective import Objective, View
from zoo.testing import FAILURES, check_component, register_temporarily

PARTS = {"rows_do_not_depend_on_the_batch", "loss_terms_add_up_over_batches"}


class Sound(Objective):
    """Say the tokens at the places that are drawn, without a fault.

    Args:
        dim: features per token.
        vocabulary: tokens.
        variant: what reads.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "documents")})
    reason: ClassVar[str] = "it is for tests"

    def __init__(self, dim: int, vocabulary: Vocabulary, variant: str) -> None:
        super().__init__(dim, vocabulary, variant)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        assert isinstance(batch, DocumentBatch)
        tokens, segment = batch.tokens[:, :-1], batch.segment[:, :-1]
        drawn = torch.stack([torch.rand(tokens.shape[1], generator=generator) for generator in self.order(generators)])
        return View(Inputs(tokens, segment, batch.position[:, :-1]), tokens, (drawn < 0.5) & (segment >= 0))

    def order(self, generators: Sequence[torch.Generator]) -> Sequence[torch.Generator]:
        return generators


class DrawsForTheBatch(Sound):
    def order(self, generators: Sequence[torch.Generator]) -> Sequence[torch.Generator]:
        return [generators[0]] * len(generators)


class CountsRows(Sound):
    def count_terms(self, view: View) -> dict[str, int]:
        return {"cross_entropy": len(view.valid)}


@pytest.mark.parametrize(
    ("cls", "found"),
    [
        (Sound, set()),
        (DrawsForTheBatch, PARTS),
        (CountsRows, {"loss_terms_add_up_over_batches"}),
    ],
)
def test_a_fault_is_found(cls: type[Sound], found: set[str]) -> None:
    cls.__doc__ = Sound.__doc__
    with register_temporarily("objective", "planted", cls) as entry:
        outcomes = list(check_component(entry, only={*PARTS, "view_is_well_formed", "loss_is_trainable"}))
    assert {outcome.check.name for outcome in outcomes if outcome.status in FAILURES} == found
