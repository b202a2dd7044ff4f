"""Span corruption."""

from __future__ import annotations

from typing import ClassVar, final

import torch

from zoo.checks import Refused, require_between
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.interfaces import Inputs, Objective, View
from zoo.objective.rows import stacked
from zoo.registry import register

Corrupted = tuple[list[int], list[int]]  # what is left of a document, and what is to be written
Pieces = dict[str, list[int]]


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
    Source: Raffel et al. 2020, section 3.1.4.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset(
        {("encoder_decoder", "documents"), ("decoder", "documents")}
    )
    reason: ClassVar[str] = "it needs documents, and tokens that see only what came before to write the spans"

    def __init__(
        self, dim: int, vocabulary: Vocabulary, variant: str, *, density: float = 0.15, span: float = 3.0
    ) -> None:
        super().__init__(dim, vocabulary, variant)
        require_between("density", density, 0.01, 0.9)
        require_between("span", span, 1.0, 100.0)
        self.density, self.span = density, span

    def longest(self, length: int) -> int:
        """A decoder reads a document's rest and its spans, each sentinel twice: at most five tokens for two.

        Of two stacks the one that writes reads a document's spans after bos: at most three tokens for two.
        """
        spans = self._spans(length)[1]
        if spans > len(self.vocabulary.sentinels):
            raise Refused(
                f"density={self.density} and span={self.span} take {spans} sentinels of a document of {length} tokens: "
                f"the vocabulary has {len(self.vocabulary.sentinels)}"
            )
        return length * 3 // 2 if self.variant == "encoder_decoder" else length * 5 // 2 + 2

    def prepare(self, batch: Batch, generator: torch.Generator) -> View:
        """Where spans begin and end is drawn, a random division of the document into spans and gaps."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("span_corruption takes documents")
        rows = [
            self._row(tokens.tolist(), segment.tolist(), generator)
            for tokens, segment in zip(batch.tokens[:, :-1], batch.segment[:, :-1], strict=True)
        ]
        return self._two_stacks(rows) if self.variant == "encoder_decoder" else self._one_stack(rows)

    def _row(self, tokens: list[int], segment: list[int], generator: torch.Generator) -> list[Corrupted]:
        """What is left and what is to be written of each document of a row."""
        documents: dict[int, list[int]] = {}
        for token, number in zip(tokens, segment, strict=True):
            if number >= 0:
                documents.setdefault(number, []).append(token)
        return [self._corrupt(document, generator) for document in documents.values()]

    def _corrupt(self, document: list[int], generator: torch.Generator) -> Corrupted:
        hidden, spans = self._spans(len(document))
        if spans == 0:
            return document, []
        gaps = _divide(len(document) - hidden, spans, generator)
        left: list[int] = []
        written: list[int] = []
        at = 0
        lengths = _divide(hidden, spans, generator)
        for sentinel, gap, span in zip(self.vocabulary.sentinels[:spans], gaps, lengths, strict=True):
            left += [*document[at : at + gap], sentinel]
            written += [sentinel, *document[at + gap : at + gap + span]]
            at += gap + span
        return left, [*written, self.vocabulary.eos]

    def _spans(self, length: int) -> tuple[int, int]:
        """How many tokens of a document are hidden, and in how many spans."""
        if length < 2:
            return 0, 0
        hidden = min(max(round(length * self.density), 1), length - 1)
        return hidden, min(max(round(hidden / self.span), 1), hidden, length - hidden)

    def _two_stacks(self, rows: list[list[Corrupted]]) -> View:
        bos = self.vocabulary.bos
        source = [_packed([(left, []) for left, _ in row]) for row in rows]
        read = [_packed([([bos, *written[:-1]], []) if written else ([], []) for _, written in row]) for row in rows]
        targets = [[token for _, written in row for token in written] for row in rows]
        pad = self.vocabulary.pad
        segment = stacked([row["segment"] for row in read], -1)
        inputs = Inputs(
            stacked([row["tokens"] for row in read], pad),
            segment,
            stacked([row["position"] for row in read], 0),
            source=stacked([row["tokens"] for row in source], pad),
            source_segment=stacked([row["segment"] for row in source], -1),
            source_position=stacked([row["position"] for row in source], 0),
        )
        return View(inputs, stacked(targets, pad), segment >= 0)

    def _one_stack(self, rows: list[list[Corrupted]]) -> View:
        """``left sep written`` for each document; the last token of all is only predicted."""
        sep, pad = self.vocabulary.sep, self.vocabulary.pad
        packed = [_packed([([*left, sep], written[:-1]) for left, written in row]) for row in rows]
        targets = [[t for left, written in row for t in [*left, *(written or [pad])]] for row in rows]
        valid = [[v for left, written in row for v in [*[0] * len(left), *([1] * len(written) or [0])]] for row in rows]
        inputs = Inputs(
            stacked([row["tokens"] for row in packed], pad),
            stacked([row["segment"] for row in packed], -1),
            stacked([row["position"] for row in packed], 0),
        )
        return View(inputs, stacked(targets, pad), stacked(valid, 0) > 0)


def _packed(documents: list[Corrupted]) -> Pieces:
    """Documents of two pieces each, one after another, with segments and positions."""
    row: Pieces = {"tokens": [], "segment": [], "position": []}
    for number, (first, second) in enumerate(documents):
        tokens = [*first, *second]
        row["tokens"] += tokens
        row["segment"] += [number] * len(tokens)
        row["position"] += range(len(tokens))
    return row


def _divide(total: int, parts: int, generator: torch.Generator) -> list[int]:
    """A random division of ``total`` into ``parts`` of at least one, every division as likely as any other."""
    cuts = sorted((torch.randperm(total - 1, generator=generator)[: parts - 1] + 1).tolist())
    return [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]
