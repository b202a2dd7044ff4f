"""Span corruption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.checks import Refused, require_between
from zoo.components.objective._spans import (
    CorruptedDocument,
    build_view,
    count_max_spans,
    count_spans,
    draw_spans,
    replace_spans,
    split_documents,
)
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.objective import Objective, View
from zoo.registry import register


@final
@register("objective", "span_corruption", paper="arXiv:1910.10683")
class SpanCorruption(Objective):
    """Replace spans by sentinels and predict ``sentinel span sentinel span … eos``.

    Each document of a row is corrupted separately, and documents do not attend to each other. An encoder-decoder reads
    the corrupted document in its encoder; a decoder reads it first, and predicts the spans after ``sep``.

    The loss is the mean of ``-log p(y[t] | x', y[:t])`` over the tokens y of sentinels, spans and eos, given the
    corrupted document x'.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens, with a sentinel for each span of a document.
        variant: variant of the model.
        density: fraction of the tokens in spans.
        span: mean length of a span.
        label_smoothing: probability mass of a target that is spread uniformly over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Raffel et al. 2020, section 3.1.4.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset(
        {("encoder_decoder", "documents"), ("decoder", "documents")}
    )
    reason: ClassVar[str] = "it needs documents, and a stack with causal attention that generates the spans"

    def __init__(
        self,
        dim: int,
        vocabulary: Vocabulary,
        variant: str,
        *,
        density: float = 0.15,
        span: float = 3.0,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)
        require_between("density", density, 0.01, 0.9)
        require_between("span", span, 1.0, 100.0)
        self.density, self.span = density, span

    def get_max_length(self, length: int) -> int:
        """Returns the greatest length of a row of the stack that predicts the spans.

        A decoder reads the corrupted document and the spans, each sentinel twice: at most five tokens for two. The
        decoder of an encoder-decoder reads the spans after a start token: at most three tokens for two.
        """
        spans = count_spans(length, self.density, self.span)[1]
        if spans > len(self.vocabulary.sentinels):
            raise Refused(
                f"a document of {length} tokens needs {spans} sentinels with density={self.density} and "
                f"span={self.span}: the vocabulary has {len(self.vocabulary.sentinels)}"
            )
        return length * 3 // 2 if self.variant == "encoder_decoder" else length * 5 // 2 + 2

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Returns a sentinel for each span of the longest document, and sep for a decoder."""
        return Required(
            sep=self.variant != "encoder_decoder", sentinels=count_max_spans(length, self.density, self.span)
        )

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Draws the spans of each document, and builds the view."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("span_corruption takes documents")
        rows = [
            [self._corrupt(document, generator) for document in row]
            for row, generator in zip(split_documents(batch), generators, strict=True)
        ]
        return build_view(rows, self.vocabulary, self.variant)

    def _corrupt(self, document: list[int], generator: torch.Generator) -> CorruptedDocument:
        return replace_spans(document, draw_spans(len(document), self.density, self.span, generator), self.vocabulary)
