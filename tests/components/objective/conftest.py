"""Small batches of both forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from zoo.data.batch import DocumentBatch, PairBatch
from zoo.data.interfaces import Vocabulary

FIRST = 14  # the first id that texts are made of


def documents_of(lengths: list[list[int]], vocabulary: Vocabulary, seed: int = 0) -> DocumentBatch:
    """Rows of documents of these lengths; the first token of each is bos, the last eos, and padding fills up."""
    generator = torch.Generator().manual_seed(seed)
    width = max(sum(row) for row in lengths)
    tokens = torch.full((len(lengths), width), vocabulary.pad)
    segment, position = torch.full_like(tokens, -1), torch.zeros_like(tokens)
    for row, found in enumerate(lengths):
        at = 0
        for number, length in enumerate(found):
            text = torch.randint(FIRST, vocabulary.size, (length,), generator=generator)
            text[0], text[-1] = vocabulary.bos, vocabulary.eos
            tokens[row, at : at + length] = text
            segment[row, at : at + length] = number
            position[row, at : at + length] = torch.arange(length)
            at += length
    return DocumentBatch(tokens, segment, position)


def pairs_of(lengths: list[tuple[int, int]], vocabulary: Vocabulary, seed: int = 0) -> PairBatch:
    """Pairs with sources and targets of these lengths, eos of the target included."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.full((len(lengths), max(s for s, _ in lengths)), vocabulary.pad)
    target = torch.full((len(lengths), max(t for _, t in lengths)), vocabulary.pad)
    for row, (s, t) in enumerate(lengths):
        source[row, :s] = torch.randint(FIRST, vocabulary.size, (s,), generator=generator)
        target[row, :t] = torch.randint(FIRST, vocabulary.size, (t,), generator=generator)
        target[row, t - 1] = vocabulary.eos
    return PairBatch(source, target, *torch.tensor(lengths).T)


@pytest.fixture(scope="session")
def documents() -> Callable[..., DocumentBatch]:
    return documents_of


@pytest.fixture(scope="session")
def pairs() -> Callable[..., PairBatch]:
    return pairs_of


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
