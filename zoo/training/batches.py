"""Batches by number: which rows, prepared by the objective with the randomness of that number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from zoo.data.batch import PairBatch
from zoo.data.order import indices
from zoo.data.rows import Rows
from zoo.interfaces import Objective, View
from zoo.training.streams import generator, stream


@dataclass(frozen=True)
class Share:
    """Which part of each batch this process works on."""

    rank: int = 0
    world: int = 1


class TrainingViews(IterableDataset[View]):
    """Micro-batches from number ``start`` on, without end.

    Args:
        rows: the training split.
        objective: makes views.
        batch: rows in a micro-batch, of all processes together.
        seed: of order and objective.
        start: number of the first micro-batch.
        share: the part of this process.
    """

    def __init__(self, rows: Rows, objective: Objective, batch: int, seed: int, start: int, share: Share) -> None:
        self.rows, self.objective, self.batch, self.seed = rows, objective, batch, seed
        self.start, self.share = start, share

    def __iter__(self) -> Iterator[View]:
        """Each micro-batch, prepared."""
        number = self.start
        order = stream(self.seed, "order")
        while True:
            chosen = indices(len(self.rows), self.batch, order, number)[self.share.rank :: self.share.world]
            drawn = generator(self.seed, "objective", number, self.share.rank)
            yield self.objective.prepare(self.rows.batch(chosen), drawn)
            number += 1


class ValidationViews(Dataset[View]):
    """The whole split in its own order; what the objective draws depends on the number of the batch alone.

    Processes have equally many batches, because Lightning leaves out the evaluation, and the sums over processes with
    it, where there is none: one that is beyond the end asks nothing.
    """

    def __init__(self, rows: Rows, objective: Objective, batch: int, share: Share) -> None:
        self.rows, self.objective, self.batch, self.share = rows, objective, batch, share

    def __len__(self) -> int:
        batches = -(-len(self.rows) // self.batch)
        return -(-batches // self.share.world)

    def __getitem__(self, item: int) -> View:
        """Batch number ``item`` of this process's share."""
        if item >= len(self):
            raise IndexError(item)
        number = item * self.share.world + self.share.rank
        chosen = range(number * self.batch, min(len(self.rows), (number + 1) * self.batch))
        if not chosen:
            view = self.objective.prepare(self.rows.batch([0]), generator(0, "validation", number))
            return replace(view, valid=torch.zeros_like(view.valid))
        batch = self.rows.batch(chosen)
        view = self.objective.prepare(batch, generator(0, "validation", number))
        return replace(view, source_length=batch.source_length) if isinstance(batch, PairBatch) else view


def loader(views: Dataset[View]) -> DataLoader[View]:
    """A loader of views that are batches already."""
    return DataLoader(views, batch_size=None, num_workers=0)
