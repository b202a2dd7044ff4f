"""Causal and masked language modeling in one stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.checks import require_between
from zoo.components.objective._hiding import Hiding
from zoo.components.objective._rows import uniform
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.interfaces import Inputs, Objective, View
from zoo.registry import register


@final
@register("objective", "causal_and_masked", paper="arXiv:2410.24159")
class CausalAndMasked(Objective):
    """Of some rows predict each token from those before it; of the others hidden tokens, from all, one place earlier.

    A masked row is all prefix, so that its tokens see each other; a hidden token is predicted at the place before it,
    as every token is. Each row is masked with probability ``masked``. Loss and metrics are over all that is asked:
    nearly every token of a causal row, a few of a masked one.

    Args:
        dim: features per token.
        vocabulary: size and special tokens.
        variant: what reads.
        masked: probability that a row is masked.
        rate: share of a masked row's tokens that are chosen to be hidden; at least one a row.
        label_smoothing: share of the target that is spread over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Charpentier and Samuel 2024.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("decoder", "documents")})
    reason: ClassVar[str] = "it needs documents, and one stack that sees either both ways or only what came before"
    needs: ClassVar[frozenset[str]] = frozenset({"prefix"})

    def __init__(
        self,
        dim: int,
        vocabulary: Vocabulary,
        variant: str,
        *,
        masked: float = 0.5,
        rate: float = 0.15,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)
        require_between("masked", masked, 0.0, 1.0)
        self.masked, self.hiding = masked, Hiding(vocabulary, rate)

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Mask."""
        return Required(mask=True)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Whether a row is masked is drawn, and what is hidden in it."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("causal_and_masked takes documents")
        segment = batch.segment[:, :-1]
        follows = (batch.segment[:, 1:] == segment) & (segment >= 0)
        masked = uniform(1, generators) < self.masked  # [row, 1]
        predictable = torch.nn.functional.pad(follows, (1, 0))  # nothing comes before the first token
        chosen = self.hiding.choose(batch.tokens, predictable, generators) & masked
        read = self.hiding.hide(batch.tokens, chosen, generators)[:, :-1]
        prefix = masked[:, 0] * segment.shape[1]
        valid = torch.where(masked, chosen[:, 1:], follows)
        return View(Inputs(read, segment, batch.position[:, :-1], prefix), batch.tokens[:, 1:], valid)
