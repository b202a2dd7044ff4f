"""Each mode alone, and their shares; what is left and what is written give the document back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components.objective.test_masked_lm import plausible
from tests.components.objective.test_span_corruption import VOCABULARY, batch_of, joined, parts
from zoo.checks import Refused
from zoo.components.objective.ul2 import Shares, Ul2
from zoo.data.interfaces import Vocabulary
from zoo.testing.objective_checks import prepare

ALONE = {
    "regular": Shares(regular=1.0, sequential=0.0, extreme=0.0),
    "sequential": Shares(regular=0.0, sequential=1.0, extreme=0.0),
    "extreme": Shares(regular=0.0, sequential=0.0, extreme=1.0),
}
TOKEN = {name: VOCABULARY.sentinels[-1 - number] for number, name in enumerate(ALONE)}
DENOISERS = {"regular": [(0.15, 3), (0.15, 8)], "extreme": [(0.5, 3), (0.5, 8), (0.15, 64), (0.5, 64)]}


def expected(mode: str, length: int) -> set[tuple[int, int]]:
    """Tokens and spans that a document of this length may have hidden, by the table of the paper."""
    if length < 2:
        return {(0, 0)}
    if mode == "sequential":
        return {(hidden, 1) for hidden in range(1, length // 2 + 1)}
    hidden = [(min(max(round(length * density), 1), length - 1), span) for density, span in DENOISERS[mode]]
    return {(h, min(max(round(h / span), 1), h, length - h)) for h, span in hidden}


@given(
    lengths=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=3),
    variant=st.sampled_from(["decoder", "encoder_decoder"]),
    mode=st.sampled_from(list(ALONE)),
    told=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=100)
def test_left_and_written_give_the_document_back(
    lengths: list[list[int]], variant: str, mode: str, told: bool, seed: int
) -> None:
    objective, batch = Ul2(16, VOCABULARY, variant, shares=ALONE[mode], mode_tokens=told), batch_of(lengths)
    view = prepare(objective, batch, seed)
    longest = objective.get_max_length(batch.tokens.shape[1] - 1)
    assert view.inputs.tokens.shape[1] <= longest
    assert view.inputs.source is None or view.inputs.source.shape[1] <= longest
    for row, found in enumerate(lengths):
        for number, length in enumerate(found):
            document = batch.tokens[row][batch.segment[row] == number].tolist()
            left, read, asked = parts(view, row, number, variant)
            if told:
                assert left[0] == TOKEN[mode]
                left = left[1:]
            assert joined(left, asked[:-1]) == document
            assert read == asked[:-1]
            spans = sum(token in VOCABULARY.sentinels for token in left)
            assert (length - len(left) + spans, spans) in expected(mode, length)
            if mode == "sequential" and length > 1:
                assert left == [*document[: len(left) - 1], VOCABULARY.sentinels[0]], "the end is hidden"


def test_modes_are_drawn_by_their_shares() -> None:
    batch = batch_of([[2]] * 700)
    objective = Ul2(16, VOCABULARY, "encoder_decoder")
    source = prepare(objective, batch).inputs.source
    assert source is not None
    for mode, share in {"regular": 2 / 7, "sequential": 1 / 7, "extreme": 4 / 7}.items():
        assert plausible(int((source[:, 0] == TOKEN[mode]).sum()), 700, share)


def test_every_denoiser_of_a_mode_is_drawn() -> None:
    batch = batch_of([[128]])
    for mode, denoisers in DENOISERS.items():
        objective = Ul2(16, VOCABULARY, "encoder_decoder", shares=ALONE[mode], mode_tokens=False)
        found = set()
        for seed in range(60):
            source = prepare(objective, batch, seed).inputs.source
            assert source is not None
            spans = int(torch.isin(source, torch.tensor(VOCABULARY.sentinels)).sum())
            found.add((128 - source.shape[1] + spans, spans))
        assert found == expected(mode, 128)
        assert len(found) == len(denoisers), "at this length they can be told apart"


def test_a_row_has_one_mode() -> None:
    objective, batch = Ul2(16, VOCABULARY, "decoder"), batch_of([[5, 5, 5]] * 20)
    inputs = prepare(objective, batch).inputs
    assert inputs.position is not None
    assert inputs.segment is not None
    first = (inputs.position == 0) & (inputs.segment >= 0)
    modes = [set(tokens[own].tolist()) for tokens, own in zip(inputs.tokens, first, strict=True)]
    assert all(len(mode) == 1 for mode in modes)
    assert set().union(*modes) == set(TOKEN.values())


@pytest.mark.parametrize(("told", "free"), [(True, 5), (False, 8)])
def test_too_few_sentinels_are_refused_before_anything_runs(told: bool, free: int, vocabulary: Vocabulary) -> None:
    objective = Ul2(16, vocabulary, "decoder", mode_tokens=told)
    assert objective.get_max_length(6 * free) == 18 * free
    with pytest.raises(
        Refused, match=rf"needs {free + 1} sentinels with 50% of it in spans of 3: {free} are available"
    ):
        objective.get_max_length(6 * free + 6)
    assert Ul2(16, vocabulary, "decoder", shares=ALONE["regular"], mode_tokens=told).get_max_length(6 * free + 6)


@pytest.mark.parametrize(
    ("given_shares", "message"),
    [
        ({"extreme": -1.0}, "shares.extreme must be between 0.0 and 1000000.0: got shares.extreme=-1.0"),
        (dict.fromkeys(ALONE, 0.0), "shares must not all be zero"),
    ],
)
def test_shares_that_cannot_be(given_shares: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        Shares(**given_shares)
