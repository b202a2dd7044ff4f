"""Masked language modeling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.components.objective._hiding import Hiding
from zoo.components.objective._rows import joined, padding
from zoo.data.batch import Batch, DocumentBatch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.interfaces import Inputs, Objective, View
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
        label_smoothing: share of the target that is spread over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Devlin et al. 2018.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "documents"), ("encoder", "pairs")})
    reason: ClassVar[str] = "it needs one stack whose tokens see both ways"
    accuracy: ClassVar[str] = "masked_accuracy"

    def __init__(
        self,
        dim: int,
        vocabulary: Vocabulary,
        variant: str,
        *,
        rate: float = 0.15,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)
        self.hiding = Hiding(vocabulary, rate)

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Mask, and sep between source and target."""
        return Required(mask=True, sep=form == "pairs")

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Which tokens are chosen, and what they become, is drawn."""
        if isinstance(batch, PairBatch):
            return self._fill_target(batch)
        return self._hide(batch, generators)

    def _fill_target(self, batch: PairBatch) -> View:
        row, before, total = joined(batch, self.vocabulary)
        column = torch.arange(row.shape[1])[None]
        valid = (column >= before[:, None]) & (column < total[:, None])
        inputs = Inputs(row.masked_fill(valid, self.vocabulary.mask), padding(total, row.shape[1]))
        return View(inputs, row, valid)

    def _hide(self, batch: DocumentBatch, generators: Sequence[torch.Generator]) -> View:
        tokens, segment = batch.tokens[:, :-1], batch.segment[:, :-1]
        chosen = self.hiding.choose(tokens, segment >= 0, generators)
        read = self.hiding.hide(tokens, chosen, generators)
        return View(Inputs(read, segment, batch.position[:, :-1]), tokens, chosen)
