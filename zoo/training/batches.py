"""Batches of training and validation; the rows and randomness of a batch depend only on its number and the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from zoo.data.batch import DocumentBatch, PairBatch
from zoo.data.row_order import draw_row_indices
from zoo.data.rows import Rows
from zoo.model.objective import Objective, View
from zoo.training.random_streams import derive_seed, make_generator

TOKENS, SOURCE = "read tokens", "read source"  # token counts, beside the counts of the loss terms


@dataclass(frozen=True)
class Share:
    """The share of each batch that this process works on.

    Args:
        rank: index of the process.
        world: number of processes.
    """

    rank: int = 0
    world: int = 1


@dataclass(frozen=True)
class MicroBatch:
    """A micro-batch: the part of a step that is processed at once.

    Attributes:
        view: rows prepared by the objective.
        counts: number of items that each loss term averages over, and number of tokens read.
        of_step: sums of ``counts`` over all micro-batches of the step in this process.
    """

    view: View
    counts: Mapping[str, int]
    of_step: Mapping[str, int]

    def to(self, device: torch.device) -> MicroBatch:
        """Moves the view to another device."""
        return replace(self, view=self.view.to(device))


class TrainingBatches(IterableDataset[MicroBatch]):
    """Endless micro-batches from step ``start`` on; those of a step are prepared together.

    Args:
        rows: the training split.
        objective: prepares the views.
        batch: rows of a micro-batch over all processes.
        accumulate: micro-batches per step.
        seed: seed of data order and objective.
        start: number of the first step.
        share: share of this process.
    """

    def __init__(
        self, rows: Rows, objective: Objective, batch: int, accumulate: int, seed: int, start: int, share: Share
    ) -> None:
        self.rows, self.objective, self.batch, self.accumulate = rows, objective, batch, accumulate
        self.seed, self.start, self.share = seed, start, share

    def __iter__(self) -> Iterator[MicroBatch]:
        """Yields prepared micro-batches."""
        for step in count(self.start):
            views = [self._prepare_view(step * self.accumulate + micro) for micro in range(self.accumulate)]
            counts = [self._count_terms(view) for view in views]
            of_step = {name: sum(part[name] for part in counts) for name in counts[0]}
            yield from (MicroBatch(*part, of_step) for part in zip(views, counts, strict=True))

    def _prepare_view(self, number: int) -> View:
        """Prepares a micro-batch; the randomness of a row depends only on its number in the order."""
        share = slice(self.share.rank, None, self.share.world)
        chosen = draw_row_indices(len(self.rows), self.batch, derive_seed(self.seed, "order"), number)[share].tolist()
        numbers = range(number * self.batch, (number + 1) * self.batch)[share]
        generators = [make_generator(self.seed, "objective", row) for row in numbers]
        return prepare_rows(self.rows, self.objective, chosen, generators)

    def _count_terms(self, view: View) -> dict[str, int]:
        read = {TOKENS: view.inputs.count_tokens(), SOURCE: view.inputs.count_source_tokens()}
        return self.objective.count_terms(view) | read


class ValidationViews(Dataset[View]):
    """Views of a whole split in order; the randomness of a row depends only on its number.

    All processes have the same number of batches, because Lightning skips validation, and with it the reduction over
    processes, where there are none: a batch beyond the end has no valid targets.
    """

    def __init__(self, rows: Rows, objective: Objective, batch: int, share: Share) -> None:
        self.rows, self.objective, self.batch, self.share = rows, objective, batch, share

    def __len__(self) -> int:
        batches = -(-len(self.rows) // self.batch)
        return -(-batches // self.share.world)

    def __getitem__(self, item: int) -> View:
        """Returns batch number ``item`` of the share of this process."""
        if item >= len(self):
            raise IndexError(item)
        number = item * self.share.world + self.share.rank
        chosen = range(number * self.batch, min(len(self.rows), (number + 1) * self.batch))
        view = self._prepare(chosen or range(1))
        return view if chosen else replace(view, valid=torch.zeros_like(view.valid))

    def _prepare(self, chosen: range) -> View:
        return prepare_rows(self.rows, self.objective, chosen, [make_generator(0, "validation", row) for row in chosen])


def prepare_rows(
    rows: Rows, objective: Objective, chosen: Sequence[int], generators: Sequence[torch.Generator]
) -> View:
    """Prepares the view of chosen rows.

    Args:
        rows: a split.
        objective: prepares the view.
        chosen: indices of rows.
        generators: generator of each row; a partner row is drawn first, if the objective needs one.
    """
    batch = rows.get_batch(chosen)
    if isinstance(batch, DocumentBatch):
        batch = _add_partner(batch, rows, objective, chosen, generators)
    view = objective.prepare(batch, generators)
    source_length = batch.source_length if isinstance(batch, PairBatch) else None
    return replace(view, inputs=view.inputs.simplify(), source_length=source_length)


def _add_partner(
    batch: DocumentBatch, rows: Rows, objective: Objective, chosen: Sequence[int], generators: Sequence[torch.Generator]
) -> DocumentBatch:
    """Adds a random other row to each row, if the objective needs one."""
    if objective.needs_partner:
        partners = [_draw_partner(row, len(rows), drawn) for row, drawn in zip(chosen, generators, strict=True)]
        partner = rows.get_batch(partners)
        return replace(batch, partner=partner if isinstance(partner, DocumentBatch) else None)
    return batch


def _draw_partner(row: int, rows: int, generator: torch.Generator) -> int:
    """Draws uniformly one of ``rows`` rows other than ``row``; returns ``row`` if it is the only one."""
    return (row + int(torch.randint(1, max(2, rows), (), generator=generator))) % rows


def make_loader(batches: Dataset[Any]) -> DataLoader[Any]:
    """Makes a loader for a data set whose items are batches already."""
    return DataLoader(batches, batch_size=None, num_workers=0)
