"""Batches by number: which rows, each prepared by the objective with the randomness of its own number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from zoo.data.batch import DocumentBatch, PairBatch
from zoo.data.order import indices
from zoo.data.rows import Rows
from zoo.model.interfaces import Objective, View
from zoo.training.random_streams import generator, stream

TOKENS, SOURCE = "read tokens", "read source"  # what is counted beside the things that terms are means of


@dataclass(frozen=True)
class Share:
    """Which part of each batch this process works on."""

    rank: int = 0
    world: int = 1


@dataclass(frozen=True)
class MicroBatch:
    """What is trained on at once: a part of a step.

    Attributes:
        view: its rows, prepared.
        counts: how many things each term of the loss is the mean of, and how many tokens are read.
        of_step: the sums of these over all micro-batches of the step in this process.
    """

    view: View
    counts: Mapping[str, int]
    of_step: Mapping[str, int]

    def to(self, device: torch.device) -> MicroBatch:
        """The same on another device."""
        return replace(self, view=self.view.to(device))


class TrainingBatches(IterableDataset[MicroBatch]):
    """Micro-batches from step ``start`` on, without end; those of a step are prepared together.

    Args:
        rows: the training split.
        objective: makes views.
        batch: rows in a micro-batch, of all processes together.
        accumulate: micro-batches in a step.
        seed: of order and objective.
        start: number of the first step.
        share: the part of this process.
    """

    def __init__(
        self, rows: Rows, objective: Objective, batch: int, accumulate: int, seed: int, start: int, share: Share
    ) -> None:
        self.rows, self.objective, self.batch, self.accumulate = rows, objective, batch, accumulate
        self.seed, self.start, self.share = seed, start, share

    def __iter__(self) -> Iterator[MicroBatch]:
        """Each micro-batch, prepared."""
        for step in count(self.start):
            views = [self._view(step * self.accumulate + micro) for micro in range(self.accumulate)]
            counts = [self._counts(view) for view in views]
            of_step = {name: sum(part[name] for part in counts) for name in counts[0]}
            yield from (MicroBatch(*part, of_step) for part in zip(views, counts, strict=True))

    def _view(self, number: int) -> View:
        """Micro-batch ``number``: a row draws by its number in the order, whatever batch and device it is in."""
        share = slice(self.share.rank, None, self.share.world)
        chosen = indices(len(self.rows), self.batch, stream(self.seed, "order"), number)[share].tolist()
        numbers = range(number * self.batch, (number + 1) * self.batch)[share]
        generators = [generator(self.seed, "objective", row) for row in numbers]
        return prepare_rows(self.rows, self.objective, chosen, generators)

    def _counts(self, view: View) -> dict[str, int]:
        read = {TOKENS: view.inputs.count_tokens(), SOURCE: view.inputs.count_source()}
        return self.objective.counts(view) | read


class ValidationViews(Dataset[View]):
    """The whole split in its own order; what the objective draws for a row depends on the row's number alone.

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
        view = self._prepare(chosen or range(1))
        return view if chosen else replace(view, valid=torch.zeros_like(view.valid))

    def _prepare(self, chosen: range) -> View:
        return prepare_rows(self.rows, self.objective, chosen, [generator(0, "validation", row) for row in chosen])


def prepare_rows(
    rows: Rows, objective: Objective, chosen: Sequence[int], generators: Sequence[torch.Generator]
) -> View:
    """The view of these rows; each draws from its own generator, its partner first."""
    batch = rows.batch(chosen)
    if isinstance(batch, PairBatch):
        return replace(objective.prepare(batch, generators), source_length=batch.source_length)
    if objective.needs_partner:
        partners = [_draw_other(row, len(rows), drawn) for row, drawn in zip(chosen, generators, strict=True)]
        partner = rows.batch(partners)
        batch = replace(batch, partner=partner if isinstance(partner, DocumentBatch) else None)
    return objective.prepare(batch, generators)


def _draw_other(row: int, rows: int, generator: torch.Generator) -> int:
    """One of ``rows`` rows other than ``row``, each as likely; itself where there is no other."""
    return (row + int(torch.randint(1, max(2, rows), (), generator=generator))) % rows


def loader(batches: Dataset[Any]) -> DataLoader[Any]:
    """A loader of what are batches already."""
    return DataLoader(batches, batch_size=None, num_workers=0)
