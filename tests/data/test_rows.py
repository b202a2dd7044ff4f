from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo.checks import Refused
from zoo.data.ragged import RaggedArray
from zoo.data.rows import PackedDocuments, PaddedPairs

PAD = 999


def ragged(sequences: list[list[int]]) -> RaggedArray:
    offsets = np.cumsum([0, *map(len, sequences)]).astype(np.int64)
    return RaggedArray(np.array([token for sequence in sequences for token in sequence], dtype=np.uint16), offsets)


def pack_plainly(documents: list[list[int]], length: int) -> list[list[tuple[int, int, int]]]:
    """Rows of (token, segment, position), one token at a time."""
    stream = [(token, number) for number, document in enumerate(documents) for token in document]
    rows = []
    start = 0
    while start < len(stream) - 1:
        row: list[tuple[int, int, int]] = []
        for token, number in stream[start : start + length + 1]:
            segment = number - stream[start][1]
            position = sum(1 for _, earlier, _ in row if earlier == segment)
            row.append((token, segment, position))
        row += [(PAD, -1, 0)] * (length + 1 - len(row))
        rows.append(row)
        start += length
    return rows


DOCUMENTS = st.lists(st.lists(st.integers(0, 99), min_size=2, max_size=12), min_size=1, max_size=8)


@given(documents=DOCUMENTS, length=st.integers(1, 9))
def test_packing_is_the_plain_loop(documents: list[list[int]], length: int):
    rows = PackedDocuments(ragged(documents), length, PAD, 0)
    expected = torch.tensor(pack_plainly(documents, length))
    assert len(rows) == len(expected)
    batch = rows.get_batch(range(len(rows)))
    for part, found in enumerate((batch.tokens, batch.segment, batch.position)):
        assert found.dtype == torch.long
        assert torch.equal(found, expected[:, :, part])


@given(documents=DOCUMENTS, length=st.integers(1, 9))
def test_every_token_but_the_first_is_predicted_once(documents: list[list[int]], length: int):
    rows = PackedDocuments(ragged(documents), length, PAD, 0)
    batch = rows.get_batch(range(len(rows)))
    targets = batch.tokens[:, 1:][batch.segment[:, 1:] >= 0]
    assert targets.tolist() == [token for document in documents for token in document][1:]


def test_rows_come_in_the_order_asked_for():
    rows = PackedDocuments(ragged([list(range(50))]), 7, PAD, 0)
    assert rows.get_batch([3, 0, 3]).tokens[:, 0].tolist() == [21, 0, 21]
    assert rows.get_batch(np.array([2])).rows == 1


@given(pairs=st.lists(st.tuples(*[st.lists(st.integers(0, 99), min_size=1, max_size=6)] * 2), min_size=1, max_size=6))
def test_pairs_are_padded_to_the_longest(pairs: list[tuple[list[int], list[int]]]):
    sources, targets = [source for source, _ in pairs], [target for _, target in pairs]
    batch = PaddedPairs(ragged(sources), ragged(targets), PAD, 0).get_batch(range(len(pairs)))
    for found, lengths, expected in (
        (batch.source, batch.source_length, sources),
        (batch.target, batch.target_length, targets),
    ):
        longest = max(map(len, expected))
        assert found.tolist() == [sequence + [PAD] * (longest - len(sequence)) for sequence in expected]
        assert lengths.tolist() == [len(sequence) for sequence in expected]
        assert found.dtype == lengths.dtype == torch.long


@pytest.mark.parametrize("indices", [[-1], [0, 8], []])
def test_rows_that_are_not_there_are_refused(indices: list[int]):
    with pytest.raises(Refused, match="got"):
        PackedDocuments(ragged([list(range(50))]), 7, PAD, 0).get_batch(indices)


def test_batches_move():
    documents = PackedDocuments(ragged([list(range(50))]), 7, PAD, 0).get_batch([0, 1]).to("meta")
    pairs = PaddedPairs(ragged([[1], [2]]), ragged([[3], [4]]), PAD, 0).get_batch([0, 1]).to(torch.device("meta"))
    assert {documents.tokens.device.type, documents.segment.device.type, documents.position.device.type} == {"meta"}
    assert {pairs.source.device.type, pairs.target_length.device.type} == {"meta"}
    assert documents.rows == pairs.rows == 2


def test_packing_is_fast():
    rng = np.random.default_rng(0)
    documents = [[1] * int(size) for size in rng.integers(2, 3000, 700)]
    rows = PackedDocuments(ragged(documents), 256, PAD, 0)
    chosen = rng.integers(0, len(rows), 32)
    times = []
    for _ in range(50):
        began = time.perf_counter()
        rows.get_batch(chosen)
        times.append(time.perf_counter() - began)
    assert min(times) < 1e-3
