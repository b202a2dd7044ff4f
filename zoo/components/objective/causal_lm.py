"""Causal language modeling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.components.objective._rows import build_continuation_view
from zoo.components.objective._token_prediction import TokenPrediction
from zoo.data.batch import Batch, PairBatch
from zoo.model.inputs import Inputs
from zoo.model.objective import View
from zoo.registry import register


@final
@register("objective", "causal_lm")
class CausalLm(TokenPrediction):
    """Predict each token from the tokens before it; for pairs, each token of the target, given the source.

    The loss is the mean of ``-log p(x[t] | x[:t])`` over all tokens of a document x except its first; for pairs, the
    mean of ``-log p(y[t] | x, y[:t])`` over the tokens of the target y, given the source x.

    Source: Radford et al. 2018, Improving Language Understanding by Generative Pre-Training (GPT).
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("decoder", "documents"), ("decoder", "pairs")})
    reason: ClassVar[str] = "it needs a single stack with causal attention"
    models_text: ClassVar[bool] = True

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Builds the view, which has no randomness."""
        if isinstance(batch, PairBatch):
            return build_continuation_view(batch, self.vocabulary, prefix=False)
        segment = batch.segment[:, :-1]
        valid = (batch.segment[:, 1:] == segment) & (segment >= 0)
        return View(Inputs(batch.tokens[:, :-1], segment, batch.position[:, :-1]), batch.tokens[:, 1:], valid)
