"""Masked language modelling."""

from __future__ import annotations

from typing import ClassVar, final

import torch

from zoo.checks import require_between
from zoo.data.batch import Batch, DocumentBatch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.interfaces import Inputs, Objective, View
from zoo.objective.rows import joined, padding
from zoo.registry import register


@final
@register("objective", "masked_lm", paper="arXiv:1810.04805")
class MaskedLm(Objective):
    """Predict tokens that were hidden; of a pair, the whole target at once, its length given.

    Of the chosen tokens of a document, 80 % become mask, 10 % a random token and 10 % stay.

    Args:
        dim: features per token.
        vocabulary: size and special tokens.
        variant: what reads.
        rate: share of a document's tokens that are chosen; at least one a row.
    Source: Devlin et al. 2018.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "documents"), ("encoder", "pairs")})
    reason: ClassVar[str] = "it needs one stack whose tokens see both ways"
    accuracy: ClassVar[str] = "masked_accuracy"

    def __init__(self, dim: int, vocabulary: Vocabulary, variant: str, *, rate: float = 0.15) -> None:
        super().__init__(dim, vocabulary, variant)
        require_between("rate", rate, 0.01, 0.99)
        self.rate = rate
        special = set(vocabulary.unwritable())
        self._writable = torch.tensor([i for i in range(vocabulary.size) if i not in special])

    def prepare(self, batch: Batch, generator: torch.Generator) -> View:
        """Which tokens are chosen, and what they become, is drawn."""
        if isinstance(batch, PairBatch):
            return self._fill_target(batch)
        return self._hide(batch, generator)

    def _fill_target(self, batch: PairBatch) -> View:
        row, before, total = joined(batch, self.vocabulary)
        column = torch.arange(row.shape[1])[None]
        valid = (column >= before[:, None]) & (column < total[:, None])
        inputs = Inputs(row.masked_fill(valid, self.vocabulary.mask), padding(total, row.shape[1]))
        return View(inputs, row, valid)

    def _hide(self, batch: DocumentBatch, generator: torch.Generator) -> View:
        tokens, segment = batch.tokens[:, :-1], batch.segment[:, :-1]
        hideable = (segment >= 0) & torch.isin(tokens, self._writable)
        draw = torch.rand(tokens.shape, generator=generator).masked_fill(~hideable, 2.0)
        chosen = (draw < self.rate) | ((draw == draw.min(dim=1, keepdim=True).values) & hideable)
        fate = torch.rand(tokens.shape, generator=generator)
        random = self._writable[torch.randint(len(self._writable), tokens.shape, generator=generator)]
        read = torch.where(chosen & (fate < 0.8), self.vocabulary.mask, tokens)
        read = torch.where(chosen & (fate >= 0.9), random, read)
        return View(Inputs(read, segment, batch.position[:, :-1]), tokens, chosen)
