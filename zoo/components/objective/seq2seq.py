"""Sequence to sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.components.objective._rows import build_translation_view
from zoo.components.objective._token_prediction import TokenPrediction
from zoo.data.batch import Batch, PairBatch
from zoo.model.objective import View
from zoo.registry import register


@final
@register("objective", "seq2seq", paper="arXiv:1706.03762")
class Seq2Seq(TokenPrediction):
    """Encode the source, and predict each token of the target from the true tokens before it (teacher forcing).

    The loss is the mean of ``-log p(y[t] | x, y[:t])`` over the tokens of the target y, given the source x.

    Source: Vaswani et al. 2017; label smoothing: Szegedy et al. 2016.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder_decoder", "pairs")})
    reason: ClassVar[str] = "it needs pairs, an encoder for the source and a decoder for the target"

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Builds the view, which has no randomness."""
        if not isinstance(batch, PairBatch):
            raise TypeError("seq2seq takes pairs")
        return build_translation_view(batch, self.vocabulary)
