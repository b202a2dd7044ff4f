"""Documents with spans taken out, and the rows that are made of them."""

from __future__ import annotations

import torch

from zoo.components.objective._rows import stacked
from zoo.data.batch import DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.interfaces import Inputs, View

Corrupted = tuple[list[int], list[int]]  # what is left of a document, and what is to be written
Spans = list[tuple[int, int]]  # of each span: how many tokens stand between it and the one before, and its length
Pieces = dict[str, list[int]]


def documents_of(batch: DocumentBatch) -> list[list[list[int]]]:
    """The documents of each row, without the token that is only a target."""
    rows = []
    for tokens, segment in zip(batch.tokens[:, :-1].tolist(), batch.segment[:, :-1].tolist(), strict=True):
        documents: dict[int, list[int]] = {}
        for token, number in zip(tokens, segment, strict=True):
            if number >= 0:
                documents.setdefault(number, []).append(token)
        rows.append(list(documents.values()))
    return rows


def count_spans(length: int, density: float, span: float) -> tuple[int, int]:
    """How many of ``length`` tokens are hidden, and in how many spans."""
    if length < 2:
        return 0, 0
    hidden = min(max(round(length * density), 1), length - 1)
    return hidden, min(max(round(hidden / span), 1), hidden, length - hidden)


def most_spans(length: int, density: float, span: float) -> int:
    """How many spans a document of up to ``length`` tokens has at most."""
    return max(count_spans(each, density, span)[1] for each in (length - 1, length))  # rounding may take one away


def random_spans(length: int, density: float, span: float, generator: torch.Generator) -> Spans:
    """A random division of ``length`` tokens into gaps and spans, none of them empty; a gap comes first."""
    hidden, spans = count_spans(length, density, span)
    if spans == 0:
        return []
    gaps = _divide(length - hidden, spans, generator)
    return list(zip(gaps, _divide(hidden, spans, generator), strict=True))


def corrupt(document: list[int], spans: Spans, vocabulary: Vocabulary) -> Corrupted:
    """The document with a sentinel for each span, and ``sentinel span sentinel span … eos``."""
    if not spans:
        return document, []
    left: list[int] = []
    written: list[int] = []
    at = 0
    for sentinel, (gap, span) in zip(vocabulary.sentinels[: len(spans)], spans, strict=True):
        left += [*document[at : at + gap], sentinel]
        written += [sentinel, *document[at + gap : at + gap + span]]
        at += gap + span
    return [*left, *document[at:]], [*written, vocabulary.eos]


def view_of(rows: list[list[Corrupted]], vocabulary: Vocabulary, variant: str) -> View:
    """Rows as they are read: what is left by the encoder, where there is one, else before the spans."""
    return _two_stacks(rows, vocabulary) if variant == "encoder_decoder" else _one_stack(rows, vocabulary)


def _two_stacks(rows: list[list[Corrupted]], vocabulary: Vocabulary) -> View:
    start, pad = vocabulary.decoder_start, vocabulary.pad
    source = [_packed([(left, []) for left, _ in row]) for row in rows]
    read = [_packed([([start, *written[:-1]], []) if written else ([], []) for _, written in row]) for row in rows]
    targets = [[token for _, written in row for token in written] for row in rows]
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


def _one_stack(rows: list[list[Corrupted]], vocabulary: Vocabulary) -> View:
    """``left sep written`` for each document; the last token of all is only predicted."""
    sep, pad = vocabulary.sep, vocabulary.pad
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
