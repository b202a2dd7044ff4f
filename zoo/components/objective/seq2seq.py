"""Sequence to sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.components.objective._rows import translation
from zoo.data.batch import Batch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.interfaces import Objective, View
from zoo.registry import register


@final
@register("objective", "seq2seq", paper="arXiv:1706.03762")
class Seq2Seq(Objective):
    """The encoder reads the source; the decoder predicts each token of the target from the true ones before it.

    Args:
        dim: features per token.
        vocabulary: size and special tokens.
        variant: what reads.
        label_smoothing: share of the target that is spread over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Vaswani et al. 2017; smoothing: Szegedy et al. 2016.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder_decoder", "pairs")})
    reason: ClassVar[str] = "it needs pairs, one stack for the source and one for the target"

    def __init__(
        self, dim: int, vocabulary: Vocabulary, variant: str, *, label_smoothing: float = 0.0, z_loss: float = 0.0
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """No randomness is used."""
        if not isinstance(batch, PairBatch):
            raise TypeError("seq2seq takes pairs")
        return translation(batch, self.vocabulary)
