"""Where rows are divided and what they exchange, against plain loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy import stats

from zoo.components.objective.next_sentence import NextSentence
from zoo.data.batch import DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.objective import View
from zoo.testing.objective_checks import prepare

VOCABULARY = Vocabulary(200, 0, 1, 2, 3, 4, 5, tuple(range(6, 14)))
Make = Callable[..., Any]


def batch_of(lengths: list[int]) -> DocumentBatch:
    """One document a row, bos first; every other token of the batch is another one; one more place for targets."""
    width = max(lengths) + 1
    tokens, segment = torch.zeros(len(lengths), width, dtype=torch.long), torch.full((len(lengths), width), -1)
    at = 20
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.tensor([1, *range(at, at + length - 1)][:length])
        segment[row, :length] = 0
        at += length
    return DocumentBatch(tokens, segment, torch.arange(width).expand_as(tokens))


def texts(batch: DocumentBatch) -> list[list[int]]:
    return [[t for t in row if t >= 20] for row in batch.tokens[:, :-1].tolist()]


def parts(view: View, row: int) -> tuple[list[int], list[int]]:
    """A and B of ``bos A sep B sep``."""
    assert view.inputs.segment is not None
    whole = view.targets[row][view.inputs.segment[row] >= 0].tolist()
    assert (whole[0], whole[-1], whole.count(4), whole.count(1)) == (1, 4, 2, 1)
    cut = whole.index(4)
    return whole[1:cut], whole[cut + 1 : -1]


def test_a_second_part_is_the_rows_own_or_its_partners() -> None:
    """The partner of a row is here the next one."""
    batch = batch_of([9, 14, 12, 9, 14])
    own, cuts, exchanged = texts(batch), set(), 0
    for seed in range(200):
        view = prepare(NextSentence(16, VOCABULARY, "encoder"), batch, seed)
        for row, (a, b) in enumerate([parts(view, row) for row in range(5)]):
            assert a
            assert b
            cuts.add(len(a))
            other = bool(view.extra["other"][row])
            exchanged += other
            assert a == own[row][: len(a)]
            assert b == own[(row + 1) % 5 if other else row][len(a) :]
    assert cuts == set(range(1, 11)), "every place is drawn at which both have a second part"
    assert stats.binomtest(exchanged, 1000, 0.5).pvalue > 1e-6


def test_a_partner_with_the_same_rest_follows() -> None:
    batch = batch_of([9, 9])
    batch = replace(batch, partner=batch)
    for seed in range(8):
        generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
        view = NextSentence(16, VOCABULARY, "encoder").prepare(batch, generators)
        assert view.extra["other"].tolist() == [0, 0]


def test_a_row_is_one_segment_of_two_types() -> None:
    batch = batch_of([9, 5])
    for told in (True, False):
        objective = NextSentence(16, VOCABULARY, "encoder", token_types=told)
        inputs = (view := prepare(objective, batch, 1)).inputs
        assert (inputs.token_type is not None) == told
        for row in range(2):
            a, b = parts(view, row)
            real, fill = len(a) + len(b) + 3, inputs.tokens.shape[1] - len(a) - len(b) - 3
            assert inputs.segment[row].tolist() == [0] * real + [-1] * fill  # type: ignore[index]
            if inputs.token_type is not None:
                assert inputs.token_type[row].tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1) + [0] * fill
        hidden = view.inputs.tokens != view.targets
        assert not (hidden & ~view.valid).any(), "what is not asked for is read as it is"
        assert (view.targets[view.valid] >= 20).all()


def test_a_row_too_short_to_divide_is_read_and_not_judged() -> None:
    for seed in range(5):
        view = prepare(NextSentence(16, VOCABULARY, "encoder"), batch_of([2, 1]), seed)
        assert view.extra["other"].tolist() == [-100, -100]
        assert parts(view, 0) == ([20], [])


def test_documents_of_a_row_see_each_other_and_not_those_of_others(
    documents: Make, built: Make, vocabulary: Vocabulary
) -> None:
    """Changing any token that is read moves the first hidden state of its row, and of no other."""
    view = prepare(NextSentence(16, vocabulary, "encoder"), documents([[4, 5], [9]], vocabulary))
    model = built("encoder")
    before = model.compute_hidden(view.inputs)[:, 0]
    assert view.inputs.segment is not None
    for row, place in (view.inputs.segment >= 0).nonzero().tolist():
        if place:
            tokens = view.inputs.tokens.clone()
            tokens[row, place] = 14 + (tokens[row, place] + 1) % 18
            after = model.compute_hidden(type(view.inputs)(tokens, view.inputs.segment))[:, 0]
            assert (after != before).any(dim=1).tolist() == [r == row for r in range(2)]


def test_the_term_of_known_logits(documents: Make, built: Make, vocabulary: Vocabulary) -> None:
    """Without weights the logits are the bias: log(1 + exp(±(b - a))) of each row."""
    objective = NextSentence(16, vocabulary, "encoder")
    with torch.no_grad():
        objective.follows.weight.zero_()
        objective.follows.bias.copy_(torch.tensor([0.3, -0.9]))
    view = prepare(objective, documents([[9], [9], [8], [7]], vocabulary), 3)
    assert set(view.extra["other"].tolist()) == {0, 1}
    expected = torch.log1p(torch.exp(1.2 * (2.0 * view.extra["other"] - 1)))
    torch.testing.assert_close(objective.loss(built("encoder"), view)["next_sentence"], expected.mean())


def test_pairs_are_not_taken(pairs: Make, vocabulary: Vocabulary, generator: torch.Generator) -> None:
    with pytest.raises(TypeError, match="takes documents"):
        prepare(NextSentence(16, vocabulary, "encoder"), pairs([(3, 2)], vocabulary))
