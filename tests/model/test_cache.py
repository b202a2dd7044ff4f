"""What is remembered, against a list."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.model.cache import Cache
from zoo.model.mask import Mask, Tokens

BATCH = 2


def step(cache: Cache, start: int, length: int, segment: torch.Tensor | None = None) -> tuple[torch.Tensor, Mask]:
    """Hand over ``length`` tokens whose items tell row and order of arrival."""
    row = Tokens.from_length(length, start=start, segment=segment)
    item = 100.0 * torch.arange(BATCH)[:, None] + torch.arange(start, start + length)
    (kept,), mask = cache.extend((item[:, None, :, None],), Mask(row, row, causal=True))
    return kept, mask


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(1, 7))
@settings(deadline=None)
def test_each_query_finds_its_window(chunks: list[int], window: int) -> None:
    """However a row is cut into chunks, a ring of the window holds what the window shows."""
    cache, start = Cache(window), 0
    for length in chunks:
        kept, mask = step(cache, start, length)
        for row in range(BATCH):
            assert torch.equal(kept[row, 0, :, 0], 100.0 * row + mask.key.index), "items lie with their tokens"
        seen = mask.restrict_window(window).materialize()[0]
        for query in range(length):
            i = start + query
            found = sorted(mask.key.index[seen[query]].tolist())
            assert found == list(range(max(0, i - window + 1), i + 1))
        assert torch.equal(mask.key.position[0], mask.key.index)
        start += length


def test_rows_are_selected() -> None:
    cache = Cache(4)
    step(cache, 0, 3, torch.tensor([[0, 0, 0], [-1, 0, 0]]))
    cache.state = (torch.tensor([[1.0], [2.0]]),)
    cache.select(torch.tensor([1, 1]))
    kept, mask = step(cache, 3, 1, torch.zeros(2, 1, dtype=torch.long))
    assert kept[:, 0, :3, 0].tolist() == [[100, 101, 102], [100, 101, 102]]
    assert mask.key.segment is not None
    assert mask.key.segment[:, :3].tolist() == [[-1, 0, 0], [-1, 0, 0]]
    assert cache.state[0].tolist() == [[2.0], [2.0]]


def test_bytes_are_those_of_the_ring_and_the_state() -> None:
    cache = Cache(4)
    assert cache.bytes == 0
    step(cache, 0, 3)
    assert cache.bytes == BATCH * 4 * 4
    cache.state = (torch.zeros(BATCH, 5, dtype=torch.bfloat16),)
    assert cache.bytes == BATCH * 4 * 4 + BATCH * 5 * 2


def test_nothing_new_leaves_what_is_remembered() -> None:
    """Cross-attention hands its memory over once; later queries come without keys."""
    cache = Cache(3)
    step(cache, 0, 3)
    query = Tokens.from_length(2, start=7)
    (kept,), mask = cache.extend((torch.empty(BATCH, 1, 0, 1),), Mask(query, Tokens.from_length(0)))
    assert kept[0, 0, :, 0].tolist() == [0, 1, 2]
    assert mask.materialize().tolist() == [[[True] * 3] * 2]


def test_a_slot_of_padding_is_free_again_after_it_was_overwritten() -> None:
    """A prompt is padded on the left; what is generated afterwards comes without segments."""
    cache = Cache(3)
    step(cache, 0, 3, torch.tensor([[-1, -1, 0], [0, 0, 0]]))
    for start in (3, 4):
        _, mask = step(cache, start, 1)
    assert mask.materialize().all()


def test_positions_may_be_shared_first_and_differ_later() -> None:
    cache = Cache(4)
    step(cache, 0, 2)
    row = Tokens.from_length(1, start=2, position=torch.tensor([[2], [9]]))
    _, mask = cache.extend((torch.zeros(BATCH, 1, 1, 1),), Mask(row, row, causal=True))
    assert mask.key.position.tolist() == [[0, 1, 2], [0, 1, 9]]


@pytest.mark.parametrize("first", [1, 4])
def test_what_was_handed_out_before_a_chunk_is_not_changed_by_it(first: int) -> None:
    """A long chunk is returned as a copy: its early queries need what its end pushes out."""
    cache = Cache(4)
    step(cache, 0, first)
    kept, mask = step(cache, first, 6)
    assert kept[0, 0, :, 0].tolist() == mask.key.index.tolist() == list(range(first + 6))


@pytest.mark.parametrize(("capacity", "window"), [(20, None), (20, 12), (4, 4)])
def test_the_newest_token_needs_no_mask(capacity: int, window: int | None) -> None:
    """Neither in a full cache, nor in the ring of a window."""
    cache = Cache(capacity)
    for start in range(9):
        _, mask = step(cache, start, 1)
        mask = mask.restrict_window(window)
        assert mask.is_plain
        assert mask.materialize().all()


@pytest.mark.parametrize("padded", [False, True])
def test_the_newest_token_needs_a_mask_for_padding_and_for_a_window_smaller_than_the_cache(padded: bool) -> None:
    cache = Cache(20)
    step(cache, 0, 5, torch.tensor([[-1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]) if padded else None)
    _, mask = step(cache, 5, 1, torch.zeros(BATCH, 1, dtype=torch.long) if padded else None)
    mask = mask if padded else mask.restrict_window(3)
    assert not mask.is_plain
    assert not mask.materialize().all()


def test_layers_with_the_same_tokens_share_a_mask() -> None:
    caches = [Cache(8), Cache(8), Cache(3)]
    for start, length in ((0, 2), (2, 1), (3, 1)):
        row = Tokens.from_length(length, start=start)
        mask = Mask(row, row, causal=True)
        one, two, ring = (cache.extend((torch.zeros(BATCH, 1, length, 1),), mask)[1] for cache in caches)
        assert one is two
        assert (one is ring) == (start == 0), "the first chunk is its own mask; later, each capacity has its mask"
