"""Span corruption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.checks import Refused, require_between
from zoo.components.objective._spans import (
    Corrupted,
    corrupt,
    count_spans,
    documents_of,
    most_spans,
    random_spans,
    view_of,
)
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.interfaces import Objective, View
from zoo.registry import register


@final
@register("objective", "span_corruption", paper="arXiv:1910.10683")
class SpanCorruption(Objective):
    """Replace spans by sentinels and predict ``sentinel span sentinel span … eos``.

    Each document of a row is corrupted apart and keeps to itself in both stacks. An encoder-decoder reads the
    corrupted document in its encoder; a decoder reads it before the spans, which follow after ``sep``.

    Args:
        dim: features per token.
        vocabulary: size and special tokens; each span of a document takes a sentinel.
        variant: what reads.
        density: share of the tokens in spans.
        span: mean length of a span.
        label_smoothing: share of the target that is spread over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Raffel et al. 2020, section 3.1.4.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset(
        {("encoder_decoder", "documents"), ("decoder", "documents")}
    )
    reason: ClassVar[str] = "it needs documents, and tokens that see only what came before to write the spans"

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
        """A decoder reads a document's rest and its spans, each sentinel twice: at most five tokens for two.

        Of two stacks the one that writes reads a document's spans after bos: at most three tokens for two.
        """
        spans = count_spans(length, self.density, self.span)[1]
        if spans > len(self.vocabulary.sentinels):
            raise Refused(
                f"density={self.density} and span={self.span} take {spans} sentinels of a document of {length} tokens: "
                f"the vocabulary has {len(self.vocabulary.sentinels)}"
            )
        return length * 3 // 2 if self.variant == "encoder_decoder" else length * 5 // 2 + 2

    def get_required_tokens(self, form: str, length: int) -> Required:
        """A sentinel for each span of the longest document; sep where one stack reads and writes."""
        return Required(sep=self.variant != "encoder_decoder", sentinels=most_spans(length, self.density, self.span))

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Where spans begin and end is drawn, a random division of the document into spans and gaps."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("span_corruption takes documents")
        rows = [
            [self._corrupt(document, generator) for document in row]
            for row, generator in zip(documents_of(batch), generators, strict=True)
        ]
        return view_of(rows, self.vocabulary, self.variant)

    def _corrupt(self, document: list[int], generator: torch.Generator) -> Corrupted:
        return corrupt(document, random_spans(len(document), self.density, self.span, generator), self.vocabulary)
