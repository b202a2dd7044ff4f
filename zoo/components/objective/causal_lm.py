"""Causal language modeling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.components.objective._rows import continuation
from zoo.data.batch import Batch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.interfaces import Inputs, Objective, View
from zoo.registry import register


@final
@register("objective", "causal_lm")
class CausalLm(Objective):
    """Predict each token from those before it; of a pair, the target's tokens after the source.

    Args:
        dim: features per token.
        vocabulary: size and special tokens.
        variant: what reads.
        label_smoothing: share of the target that is spread over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Radford et al. 2018.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("decoder", "documents"), ("decoder", "pairs")})
    reason: ClassVar[str] = "it needs one stack whose tokens see only what came before"
    models_text: ClassVar[bool] = True

    def __init__(
        self, dim: int, vocabulary: Vocabulary, variant: str, *, label_smoothing: float = 0.0, z_loss: float = 0.0
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """No randomness is used."""
        if isinstance(batch, PairBatch):
            return continuation(batch, self.vocabulary, prefix=False)
        segment = batch.segment[:, :-1]
        valid = (batch.segment[:, 1:] == segment) & (segment >= 0)
        return View(Inputs(batch.tokens[:, :-1], segment, batch.position[:, :-1]), batch.tokens[:, 1:], valid)
