"""Who sees whom, against a double loop."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.model.mask import Mask, Tokens

BATCH = 2


def loop(mask: Mask, batch: int) -> torch.Tensor:
    """The definition, one pair after another."""
    query, key = mask.query, mask.key
    seen = torch.zeros(batch, query.length, key.length, dtype=torch.bool)
    for row in range(batch):
        for a in range(query.length):
            for b in range(key.length):
                i, j = int(query.index[a]), int(key.index[b])
                sees = not mask.causal or j <= i or (mask.prefix is not None and j < int(mask.prefix[row]))
                if mask.window is not None and abs(i - j) >= mask.window:
                    sees = False
                own = None if query.segment is None else int(query.segment[row, a])
                other = None if key.segment is None else int(key.segment[row, b])
                if own is not None and other is not None and own != other:
                    sees = False
                if (own is not None and own < 0) or (other is not None and other < 0):
                    sees = False
                seen[row, a, b] = sees
    return seen


@st.composite
def tokens(draw: st.DrawFn, least: int = 1) -> Tokens:
    length = draw(st.integers(least, 6))
    segment = None
    if draw(st.booleans()):
        numbers = st.lists(st.integers(-1, 2), min_size=length, max_size=length)
        segment = torch.tensor([draw(numbers) for _ in range(BATCH)], dtype=torch.long).view(BATCH, length)
    return Tokens.from_length(length, start=draw(st.integers(0, 9)), segment=segment)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    query = draw(tokens())
    key = query if draw(st.booleans()) else draw(tokens(least=0))
    prefix = torch.tensor([draw(st.integers(0, 6)) for _ in range(BATCH)]) if draw(st.booleans()) else None
    return Mask(query, key, draw(st.booleans()), draw(st.none() | st.integers(1, 8)), prefix)


@given(masks())
@settings(deadline=None, max_examples=300)
def test_visible_is_the_definition(mask: Mask) -> None:
    assert torch.equal(mask.materialize().expand(BATCH, -1, -1), loop(mask, BATCH))


@given(masks())
@settings(deadline=None, max_examples=300)
def test_pairs_are_counted(mask: Mask) -> None:
    assert mask.count_pairs() == int(mask.materialize().sum())


@given(masks())
@settings(deadline=None, max_examples=300)
def test_plain_hides_nothing_but_what_causality_hides(mask: Mask) -> None:
    if mask.is_plain:
        whole = torch.ones(1, mask.query.length, mask.key.length, dtype=torch.bool)
        assert torch.equal(
            mask.materialize().expand(BATCH, -1, -1), (whole.tril() if mask.causal else whole).expand(BATCH, -1, -1)
        )


def test_plain_is_found_where_it_matters() -> None:
    row, other = Tokens.from_length(5), Tokens.from_length(3)
    assert Mask(row, row).is_plain
    assert Mask(row, row, causal=True).is_plain
    assert Mask(row, row, causal=True, window=5).is_plain
    assert Mask(row, other).is_plain
    assert not Mask(row, row, causal=True, window=4).is_plain


@given(masks(), st.none() | st.integers(1, 8))
@settings(deadline=None)
def test_within_narrows(mask: Mask, window: int | None) -> None:
    wide = mask.materialize()
    near = torch.ones_like(wide)
    if window is not None:
        near = ((mask.query.index[:, None] - mask.key.index[None]).abs() < window).expand_as(wide)
    assert torch.equal(mask.restrict_window(window).materialize(), wide & near)


def test_pairs_of_a_ring_are_counted() -> None:
    """In a ring the tokens lie in the order of their slots."""
    key = Tokens(torch.tensor([4, 5, 2, 3]), torch.tensor([[4, 5, 2, 3]]))
    mask = Mask(Tokens.from_length(1, start=5), key, causal=True, window=3)
    assert mask.count_pairs() == 3
