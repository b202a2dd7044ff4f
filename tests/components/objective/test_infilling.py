"""Spans put back where their masks stand give the documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.components.objective.test_span_corruption import VOCABULARY, batch_of
from zoo.checks import Refused
from zoo.components.objective.infilling import Infilling
from zoo.data.batch import DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.inputs import Inputs
from zoo.testing.objective_checks import prepare


def pieces(inputs: Inputs, row: int) -> tuple[list[list[int]], list[list[int]]]:
    """``[token, document, position]`` of the prefix and of what follows it."""
    assert inputs.segment is not None
    assert inputs.position is not None
    assert inputs.prefix is not None
    places = [
        list(place)
        for place in zip(
            *(part[row].tolist() for part in (inputs.tokens, inputs.segment, inputs.position)), strict=True
        )
        if place[1] >= 0
    ]
    return places[: int(inputs.prefix[row])], places[int(inputs.prefix[row]) :]


@given(
    lengths=st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=5), min_size=1, max_size=3),
    density=st.floats(0.01, 0.9),
    span=st.floats(1, 10),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=150)
def test_spans_fill_their_masks(lengths: list[list[int]], density: float, span: float, seed: int) -> None:
    objective, batch = Infilling(16, VOCABULARY, "decoder", density=density, span=span), batch_of(lengths)
    view = prepare(objective, batch, seed)
    assert view.inputs.tokens.shape[1] <= objective.get_max_length(batch.tokens.shape[1] - 1)
    for row, found in enumerate(lengths):
        read, written = pieces(view.inputs, row)
        assert view.valid[row].nonzero()[:, 0].tolist() == list(range(len(read), len(read) + len(written)))
        asked = view.targets[row][view.valid[row]].tolist()
        for number, length in enumerate(found):
            document = batch.tokens[row][batch.segment[row] == number].tolist()
            left = [token for token, own, _ in read if own == number]
            assert [position for _, own, position in read if own == number] == list(range(len(left)))
            spans: dict[int, list[int]] = {}
            mask = -1
            for (token, own, position), target in zip(written, asked, strict=True):
                if own != number:
                    continue
                if token == VOCABULARY.sep:
                    mask = position
                    assert left[mask] == VOCABULARY.mask
                    assert mask not in spans
                    spans[mask] = []
                else:
                    assert token == spans[mask][-1], "it reads what it was asked for before"
                assert position == mask + len(spans[mask])
                spans[mask].append(target)
            assert set(spans) == {i for i, token in enumerate(left) if token == VOCABULARY.mask}
            assert all(ended[-1] == VOCABULARY.eos and len(ended) > 1 for ended in spans.values())
            assert [t for i, token in enumerate(left) for t in spans.get(i, [token, 0])[:-1]] == document
            hidden = min(max(round(length * density), 1), length - 1) if length > 1 else 0
            assert sum(len(ended) - 1 for ended in spans.values()) == hidden


def test_spans_come_in_any_order() -> None:
    """Three masks of one document, whose six orders are equally likely."""
    objective, batch = Infilling(16, VOCABULARY, "decoder", density=0.3, span=1.0), batch_of([[10]])
    orders: dict[tuple[int, ...], int] = {}
    for seed in range(600):
        inputs = prepare(objective, batch, seed).inputs
        starts = [position for token, _, position in pieces(inputs, 0)[1] if token == VOCABULARY.sep]
        order = tuple(sorted(starts).index(start) for start in starts)
        orders[order] = orders.get(order, 0) + 1
    assert len(orders) == 6
    assert stats.chisquare(list(orders.values())).pvalue > 1e-6


def test_who_sees_whom(built: Callable[..., Any], vocabulary: Vocabulary) -> None:
    """What is left sees itself both ways and no span; a span sees what is left and what was written; by document."""
    batch = batch_of([[9, 8]])
    text = DocumentBatch(14 + batch.tokens % 18, batch.segment, batch.position)
    inputs = prepare(Infilling(16, vocabulary, "decoder", density=0.3), text).inputs
    model, length, prefix = built("decoder"), inputs.tokens.shape[1], int(inputs.prefix[0])  # type: ignore[index]
    before = model.compute_hidden(inputs)[0]
    for changed in range(length):
        tokens = inputs.tokens.clone()
        tokens[0, changed] = 14 + (tokens[0, changed] + 1) % 18
        after = model.compute_hidden(replace(inputs, tokens=tokens))[0]
        segment = inputs.segment[0]  # type: ignore[index]
        seen = [
            bool(segment[place] == segment[changed]) and (changed < prefix or changed <= place)
            for place in range(length)
        ]
        assert (after != before).any(dim=1).tolist() == seen


def test_options_that_cannot_be(vocabulary: Vocabulary) -> None:
    with pytest.raises(Refused, match=r"density must be between 0.01 and 0.9: got density=1.5"):
        Infilling(16, vocabulary, "decoder", density=1.5)
    with pytest.raises(Refused, match=r"span must be between 1.0 and 100.0: got span=0.5"):
        Infilling(16, vocabulary, "decoder", span=0.5)
