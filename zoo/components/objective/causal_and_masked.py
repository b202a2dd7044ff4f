"""Causal and masked language modeling in one stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.checks import require_between
from zoo.components.objective._rows import draw_uniform
from zoo.components.objective._token_masking import TokenMasking
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.inputs import Inputs
from zoo.model.objective import Objective, View
from zoo.registry import register


@final
@register("objective", "causal_and_masked", paper="arXiv:2410.24159")
class CausalAndMasked(Objective):
    """Mix causal and masked language modeling: each row is masked with probability ``masked``, otherwise causal.

    In a causal row each token is predicted from the tokens before it. In a masked row some tokens are masked and
    predicted with bidirectional attention (the whole row is a prefix), each at the place before it, as in a causal row.

    The loss is the mean of ``-log p(x[t] | x[:t])`` in causal rows and ``-log p(x[t] | x')`` in masked rows, of which
    the model reads x'. Like the metrics, it is over all predicted tokens: nearly all of a causal row, but few of a
    masked one.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens.
        variant: variant of the model.
        masked: probability that a row is masked.
        rate: fraction of the tokens of a masked row to predict; at least one token per row.
        label_smoothing: probability mass of a target that is spread uniformly over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Charpentier and Samuel 2024.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("decoder", "documents")})
    reason: ClassVar[str] = "it needs documents, and a single stack with causal or bidirectional attention for each row"
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
        self.masked, self.masking = masked, TokenMasking(vocabulary, rate)

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Returns mask."""
        return Required(mask=True)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Draws which rows are masked and which of their tokens, and builds the view."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("causal_and_masked takes documents")
        segment = batch.segment[:, :-1]
        follows = (batch.segment[:, 1:] == segment) & (segment >= 0)
        masked = draw_uniform(1, generators) < self.masked  # [row, 1]
        predictable = torch.nn.functional.pad(follows, (1, 0))  # no place precedes the first token
        chosen = self.masking.select(batch.tokens, predictable, generators) & masked
        read = self.masking.replace(batch.tokens, chosen, generators)[:, :-1]
        prefix = masked[:, 0] * segment.shape[1]
        valid = torch.where(masked, chosen[:, 1:], follows)
        return View(Inputs(read, segment, batch.position[:, :-1], prefix), batch.tokens[:, 1:], valid)
