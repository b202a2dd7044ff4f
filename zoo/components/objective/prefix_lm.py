"""Prefix language modeling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.components.objective._rows import build_continuation_view, build_translation_view
from zoo.components.objective._token_prediction import TokenPrediction
from zoo.data.batch import Batch, DocumentBatch, PairBatch
from zoo.model.inputs import Inputs
from zoo.model.objective import View
from zoo.registry import register


@final
@register("objective", "prefix_lm", paper="arXiv:1910.10683")
class PrefixLm(TokenPrediction):
    """Predict each token after a prefix that is read with bidirectional attention; for pairs, the prefix is the source.

    Rows of documents are divided at a random place. A decoder attends to the prefix bidirectionally; in an
    encoder-decoder, the encoder reads the prefix. Documents of a row do not attend to each other.

    The loss is the mean of ``-log p(x[t] | x[:t])`` over the tokens after the prefix; for pairs, the mean of
    ``-log p(y[t] | x, y[:t])`` over the tokens of the target y, given the source x.

    Source: Raffel et al. 2020.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset(
        {(variant, form) for variant in ("decoder", "encoder_decoder") for form in ("documents", "pairs")}
    )
    reason: ClassVar[str] = "an encoder has no causal attention"
    needs: ClassVar[frozenset[str]] = frozenset({"prefix"})

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Builds the view; the length of the prefix of a row of documents is drawn uniformly."""
        if isinstance(batch, PairBatch):
            if self.variant == "decoder":
                return build_continuation_view(batch, self.vocabulary, prefix=True)
            return build_translation_view(batch, self.vocabulary)
        length = batch.tokens.shape[1] - 1
        prefix = torch.cat([torch.randint(1, max(2, length), (1,), generator=generator) for generator in generators])
        build = self._build_decoder_view if self.variant == "decoder" else self._build_encoder_decoder_view
        return build(batch, prefix)

    def _build_decoder_view(self, batch: DocumentBatch, prefix: torch.Tensor) -> View:
        segment = batch.segment[:, :-1]
        after = torch.arange(segment.shape[1])[None] >= prefix[:, None] - 1
        valid = after & (batch.segment[:, 1:] == segment) & (segment >= 0)
        inputs = Inputs(batch.tokens[:, :-1], segment, batch.position[:, :-1], prefix)
        return View(inputs, batch.tokens[:, 1:], valid)

    def _build_encoder_decoder_view(self, batch: DocumentBatch, prefix: torch.Tensor) -> View:
        """Builds a view whose decoder starts with the last token of the prefix, so that it predicts all that follow."""
        view = self._build_decoder_view(batch, prefix)
        masked = torch.arange(view.targets.shape[1])[None] < prefix[:, None] - 1
        segment = batch.segment[:, :-1]
        inputs = Inputs(
            view.inputs.tokens,
            segment.masked_fill(masked, -1),
            view.inputs.position,
            source=view.inputs.tokens,
            source_segment=segment.masked_fill(torch.arange(segment.shape[1])[None] >= prefix[:, None], -1),
            source_position=view.inputs.position,
        )
        return View(inputs, view.targets, view.valid & ~masked)
