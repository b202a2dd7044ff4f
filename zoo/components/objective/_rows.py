"""Rows and views of batches whose texts differ in length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.data.batch import PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.inputs import Inputs
from zoo.model.objective import View


def pad_rows(rows: Sequence[Sequence[int]], fill: int, width: int = 1) -> Tensor:
    """Returns the rows as a tensor ``[batch, longest]``, padded on the right with ``fill`` to at least ``width``."""
    longest = max(width, *(len(row) for row in rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows], dtype=torch.long)


def draw_uniform(length: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Draws numbers ``[batch, length]`` uniformly from [0, 1), those of row i from ``generators[i]``."""
    return torch.stack([torch.rand(length, generator=generator) for generator in generators])


def join_pairs(batch: PairBatch, vocabulary: Vocabulary) -> tuple[Tensor, Tensor, Tensor]:
    """Joins each pair to a row ``bos source sep target``.

    Returns:
        the tokens ``[batch, length]``, the number of tokens before the target ``[batch]``, and the length of each row
        without padding ``[batch]``.
    """
    before, total = batch.source_length + 2, batch.source_length + 2 + batch.target_length
    column = torch.arange(int(total.max()))[None]
    row = torch.full((batch.rows, column.shape[1]), vocabulary.pad)
    row[:, 0] = vocabulary.bos
    source_at = (column >= 1) & (column < before[:, None] - 1)
    row[source_at] = batch.source[_mark_first(batch.source, batch.source_length)]
    row[column == before[:, None] - 1] = vocabulary.sep
    row[(column >= before[:, None]) & (column < total[:, None])] = batch.target[
        _mark_first(batch.target, batch.target_length)
    ]
    return row, before, total


def _mark_first(rows: Tensor, length: Tensor) -> Tensor:
    """Returns True at the first ``length`` places of each row."""
    return torch.arange(rows.shape[1])[None] < length[:, None]


def build_segments(length: Tensor, longest: int) -> Tensor:
    """Returns the segments ``[batch, longest]`` of rows with one document each: 0, and -1 at padding."""
    return torch.where(torch.arange(longest)[None] < length[:, None], 0, -1)


def build_continuation_view(batch: PairBatch, vocabulary: Vocabulary, *, prefix: bool) -> View:
    """Builds the view of a decoder that reads ``bos source sep target`` and predicts the tokens of the target."""
    row, before, total = join_pairs(batch, vocabulary)
    column = torch.arange(row.shape[1] - 1)[None]
    valid = (column >= before[:, None] - 1) & (column < total[:, None] - 1)
    inputs = Inputs(row[:, :-1], build_segments(total - 1, row.shape[1] - 1), prefix=before if prefix else None)
    return View(inputs, row[:, 1:], valid)


def build_translation_view(batch: PairBatch, vocabulary: Vocabulary) -> View:
    """Builds the view of an encoder that reads ``source eos``, and a decoder that reads ``decoder_start target``."""
    source = torch.cat([batch.source, torch.full((batch.rows, 1), vocabulary.pad)], dim=1)
    source[torch.arange(batch.rows), batch.source_length] = vocabulary.eos
    start = torch.full((batch.rows, 1), vocabulary.decoder_start)
    segment = build_segments(batch.target_length, batch.target.shape[1])
    inputs = Inputs(
        torch.cat([start, batch.target[:, :-1]], dim=1),
        segment,
        source=source,
        source_segment=build_segments(batch.source_length + 1, source.shape[1]),
    )
    return View(inputs, batch.target, segment >= 0)
