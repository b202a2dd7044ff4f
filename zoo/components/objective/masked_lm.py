"""Masked language modeling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.components.objective._rows import build_segments, join_pairs
from zoo.components.objective._token_masking import TokenMasking
from zoo.data.batch import Batch, DocumentBatch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.inputs import Inputs
from zoo.model.objective import Objective, View
from zoo.registry import register


@final
@register("objective", "masked_lm", paper="arXiv:1810.04805")
class MaskedLm(Objective):
    """Predict masked tokens; for pairs, all tokens of the target at once, given its length.

    Of the selected tokens of a document, 80 % become the mask token and 10 % a random token; 10 % are unchanged.

    The loss is the mean of ``-log p(x[t] | x')`` over the selected tokens of a row x, of which the model reads x'.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens.
        variant: variant of the model.
        rate: fraction of the tokens of a row of documents to predict; at least one token per row.
        label_smoothing: probability mass of a target that is spread uniformly over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Devlin et al. 2018.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "documents"), ("encoder", "pairs")})
    reason: ClassVar[str] = "it needs a single stack with bidirectional attention"
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
        self.masking = TokenMasking(vocabulary, rate)

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Returns mask, and sep for pairs."""
        return Required(mask=True, sep=form == "pairs")

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Draws the tokens to predict and their replacements, and builds the view."""
        return self._mask_targets(batch) if isinstance(batch, PairBatch) else self._mask_documents(batch, generators)

    def _mask_targets(self, batch: PairBatch) -> View:
        row, before, total = join_pairs(batch, self.vocabulary)
        column = torch.arange(row.shape[1])[None]
        valid = (column >= before[:, None]) & (column < total[:, None])
        inputs = Inputs(row.masked_fill(valid, self.vocabulary.mask), build_segments(total, row.shape[1]))
        return View(inputs, row, valid)

    def _mask_documents(self, batch: DocumentBatch, generators: Sequence[torch.Generator]) -> View:
        tokens, segment = batch.tokens[:, :-1], batch.segment[:, :-1]
        chosen = self.masking.select(tokens, segment >= 0, generators)
        read = self.masking.replace(tokens, chosen, generators)
        return View(Inputs(read, segment, batch.position[:, :-1]), tokens, chosen)
