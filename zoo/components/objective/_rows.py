"""Rows of a batch put together from pieces of different lengths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.data.batch import PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.interfaces import Inputs, View


def stacked(rows: Sequence[Sequence[int]], fill: int, width: int = 1) -> Tensor:
    """Rows as one tensor ``[batch, longest]``, filled up on the right to at least ``width``."""
    longest = max(width, *(len(row) for row in rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows], dtype=torch.long)


def uniform(length: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Numbers from 0 to 1, ``[batch, length]``: row i is drawn from ``generators[i]``."""
    return torch.stack([torch.rand(length, generator=generator) for generator in generators])


def joined(batch: PairBatch, vocabulary: Vocabulary) -> tuple[Tensor, Tensor, Tensor]:
    """Each pair as one row ``bos source sep target``.

    Returns:
        the tokens ``[batch, length]``; of each row, how many stand before the target, and how many there are.
    """
    before, total = batch.source_length + 2, batch.source_length + 2 + batch.target_length
    column = torch.arange(int(total.max()))[None]
    row = torch.full((batch.rows, column.shape[1]), vocabulary.pad)
    row[:, 0] = vocabulary.bos
    source_at = (column >= 1) & (column < before[:, None] - 1)
    row[source_at] = batch.source[_first(batch.source, batch.source_length)]
    row[column == before[:, None] - 1] = vocabulary.sep
    row[(column >= before[:, None]) & (column < total[:, None])] = batch.target[
        _first(batch.target, batch.target_length)
    ]
    return row, before, total


def _first(rows: Tensor, length: Tensor) -> Tensor:
    """True at the first ``length`` places of each row."""
    return torch.arange(rows.shape[1])[None] < length[:, None]


def padding(length: Tensor, longest: int) -> Tensor:
    """Segments ``[batch, longest]`` of rows of one document: 0, and -1 at padding."""
    return torch.where(torch.arange(longest)[None] < length[:, None], 0, -1)


def continuation(batch: PairBatch, vocabulary: Vocabulary, *, prefix: bool) -> View:
    """Read ``bos source sep target`` and predict each token of the target from those before it."""
    row, before, total = joined(batch, vocabulary)
    column = torch.arange(row.shape[1] - 1)[None]
    valid = (column >= before[:, None] - 1) & (column < total[:, None] - 1)
    inputs = Inputs(row[:, :-1], padding(total - 1, row.shape[1] - 1), prefix=before if prefix else None)
    return View(inputs, row[:, 1:], valid)


def translation(batch: PairBatch, vocabulary: Vocabulary) -> View:
    """The encoder reads ``source eos``, the decoder ``decoder_start target``; each token of the target is predicted."""
    source = torch.cat([batch.source, torch.full((batch.rows, 1), vocabulary.pad)], dim=1)
    source[torch.arange(batch.rows), batch.source_length] = vocabulary.eos
    start = torch.full((batch.rows, 1), vocabulary.decoder_start)
    segment = padding(batch.target_length, batch.target.shape[1])
    inputs = Inputs(
        torch.cat([start, batch.target[:, :-1]], dim=1),
        segment,
        source=source,
        source_segment=padding(batch.source_length + 1, source.shape[1]),
    )
    return View(inputs, batch.target, segment >= 0)
