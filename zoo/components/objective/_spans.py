"""Corruption of spans of documents, and views of corrupted documents."""

from __future__ import annotations

import torch

from zoo.components.objective._rows import pad_rows
from zoo.data.batch import DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.inputs import Inputs
from zoo.model.objective import View

CorruptedDocument = tuple[list[int], list[int]]
"""Tokens of a document with its spans replaced by sentinels, and the target, which restores the spans."""
Spans = list[tuple[int, int]]
"""For each span the number of tokens between it and the previous one, and its length."""
PackedRow = dict[str, list[int]]
"""Tokens, segments and positions of a row."""


def split_documents(batch: DocumentBatch) -> list[list[list[int]]]:
    """Splits each row into its documents, without the last token of the row, which is only a target."""
    rows = []
    for tokens, segment in zip(batch.tokens[:, :-1].tolist(), batch.segment[:, :-1].tolist(), strict=True):
        documents: dict[int, list[int]] = {}
        for token, number in zip(tokens, segment, strict=True):
            if number >= 0:
                documents.setdefault(number, []).append(token)
        rows.append(list(documents.values()))
    return rows


def count_spans(length: int, density: float, span: float) -> tuple[int, int]:
    """Returns how many of ``length`` tokens are in spans, and the number of spans."""
    if length < 2:
        return 0, 0
    hidden = min(max(round(length * density), 1), length - 1)
    return hidden, min(max(round(hidden / span), 1), hidden, length - hidden)


def count_max_spans(length: int, density: float, span: float) -> int:
    """Returns the greatest number of spans of a document of up to ``length`` tokens."""
    return max(count_spans(each, density, span)[1] for each in (length - 1, length))  # rounding may remove one


def draw_spans(length: int, density: float, span: float, generator: torch.Generator) -> Spans:
    """Divides ``length`` tokens at random into gaps and spans in turn, each nonempty and a gap first."""
    hidden, spans = count_spans(length, density, span)
    if spans == 0:
        return []
    gaps = _draw_partition(length - hidden, spans, generator)
    return list(zip(gaps, _draw_partition(hidden, spans, generator), strict=True))


def replace_spans(document: list[int], spans: Spans, vocabulary: Vocabulary) -> CorruptedDocument:
    """Replaces each span of a document by a sentinel; the target is ``sentinel span sentinel span … eos``."""
    if not spans:
        return document, []
    corrupted: list[int] = []
    target: list[int] = []
    at = 0
    for sentinel, (gap, span) in zip(vocabulary.sentinels[: len(spans)], spans, strict=True):
        corrupted += [*document[at : at + gap], sentinel]
        target += [sentinel, *document[at + gap : at + gap + span]]
        at += gap + span
    return [*corrupted, *document[at:]], [*target, vocabulary.eos]


def build_view(rows: list[list[CorruptedDocument]], vocabulary: Vocabulary, variant: str) -> View:
    """Builds the view of corrupted documents, which the encoder reads if there is one, else the decoder before targets.

    Args:
        rows: the corrupted documents of each row.
        vocabulary: ids of the special tokens.
        variant: variant of the model, ``encoder_decoder`` or ``decoder``.
    """
    build = _build_encoder_decoder_view if variant == "encoder_decoder" else _build_decoder_view
    return build(rows, vocabulary)


def _build_encoder_decoder_view(rows: list[list[CorruptedDocument]], vocabulary: Vocabulary) -> View:
    start, pad = vocabulary.decoder_start, vocabulary.pad
    source = [_pack_documents([(corrupted, []) for corrupted, _ in row]) for row in rows]
    decoder = [
        _pack_documents([([start, *target[:-1]], []) if target else ([], []) for _, target in row]) for row in rows
    ]
    targets = [[token for _, target in row for token in target] for row in rows]
    segment = pad_rows([row["segment"] for row in decoder], -1)
    inputs = Inputs(
        pad_rows([row["tokens"] for row in decoder], pad),
        segment,
        pad_rows([row["position"] for row in decoder], 0),
        source=pad_rows([row["tokens"] for row in source], pad),
        source_segment=pad_rows([row["segment"] for row in source], -1),
        source_position=pad_rows([row["position"] for row in source], 0),
    )
    return View(inputs, pad_rows(targets, pad), segment >= 0)


def _build_decoder_view(rows: list[list[CorruptedDocument]], vocabulary: Vocabulary) -> View:
    """Builds rows of ``corrupted sep target`` for each document; the last token of a target is only predicted."""
    sep, pad = vocabulary.sep, vocabulary.pad
    packed = [_pack_documents([([*corrupted, sep], target[:-1]) for corrupted, target in row]) for row in rows]
    targets = [[t for corrupted, target in row for t in [*corrupted, *(target or [pad])]] for row in rows]
    valid = [[v for text, target in row for v in [*[0] * len(text), *([1] * len(target) or [0])]] for row in rows]
    inputs = Inputs(
        pad_rows([row["tokens"] for row in packed], pad),
        pad_rows([row["segment"] for row in packed], -1),
        pad_rows([row["position"] for row in packed], 0),
    )
    return View(inputs, pad_rows(targets, pad), pad_rows(valid, 0) > 0)


def _pack_documents(documents: list[CorruptedDocument]) -> PackedRow:
    """Concatenates the two parts of each document, and the documents, with segments and positions."""
    row: PackedRow = {"tokens": [], "segment": [], "position": []}
    for number, (first, second) in enumerate(documents):
        tokens = [*first, *second]
        row["tokens"] += tokens
        row["segment"] += [number] * len(tokens)
        row["position"] += range(len(tokens))
    return row


def _draw_partition(total: int, parts: int, generator: torch.Generator) -> list[int]:
    """Draws a composition of ``total`` into ``parts`` positive integers uniformly at random."""
    cuts = sorted((torch.randperm(total - 1, generator=generator)[: parts - 1] + 1).tolist())
    return [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]
