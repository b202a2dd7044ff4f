"""Which tokens are hidden, and what they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats

from zoo.components.objective.masked_lm import MaskedLm
from zoo.data.batch import DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.testing.objective_checks import prepare

Make = Callable[..., Any]


def plausible(count: int, total: int, share: float) -> bool:
    """Within what a fair draw gives in all but one of a million cases."""
    return bool(stats.binomtest(count, total, share).pvalue > 1e-6)


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_shares_are_those_of_the_paper(rate: float, vocabulary: Vocabulary) -> None:
    tokens = torch.randint(14, 32, (40, 501), generator=torch.Generator().manual_seed(0))
    batch = DocumentBatch(tokens, torch.zeros_like(tokens), torch.arange(501).expand_as(tokens))
    view = prepare(MaskedLm(16, vocabulary, "encoder", rate=rate), batch)
    total = tokens[:, :-1].numel()
    chosen, read, original = view.valid, view.inputs.tokens, tokens[:, :-1]
    count = int(chosen.sum())
    assert plausible(count, total, rate)
    assert torch.equal(view.targets, original)
    assert torch.equal(read[~chosen], original[~chosen])
    hidden, kept = read[chosen] == vocabulary.mask, read[chosen] == original[chosen]
    words = vocabulary.size - 13  # 14..31 and unk
    assert plausible(int(hidden.sum()), count, 0.8)
    assert plausible(int(kept.sum()), count, 0.1 + 0.1 / words)
    random = read[chosen][~hidden & ~kept]
    assert set(random.tolist()) == {5, *range(14, 32)}


def test_special_and_padding_are_never_chosen_and_each_row_has_one(
    documents: Make, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    batch = documents([[3, 4, 3], [11], [2, 3]], vocabulary)
    objective = MaskedLm(16, vocabulary, "encoder", rate=0.01)
    for seed in range(50):
        view = prepare(objective, batch, seed)
        assert (view.targets[view.valid] >= 14).all()
        assert (view.inputs.segment[view.valid] >= 0).all()  # type: ignore[index]
        assert view.valid.any(dim=1).all(), "at least one a row"
    words = set(vocabulary.reserved_ids)
    assert words == {0, 1, 2, 3, 4, *range(6, 14)}


def test_a_row_without_words_asks_for_nothing(
    documents: Make, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    view = prepare(MaskedLm(16, vocabulary, "encoder"), documents([[2, 2], [6]], vocabulary))
    assert view.valid.any(dim=1).tolist() == [False, True]


def test_the_target_of_a_pair_is_hidden_whole(pairs: Make, vocabulary: Vocabulary, generator: torch.Generator) -> None:
    lengths = [(5, 4), (1, 1), (8, 6)]
    batch = pairs(lengths, vocabulary)
    view = prepare(MaskedLm(16, vocabulary, "encoder"), batch)
    for row, (source, target) in enumerate(lengths):
        shown = [vocabulary.bos, *batch.source[row, :source].tolist(), vocabulary.sep]
        padding = view.inputs.tokens.shape[1] - len(shown) - target
        expected = [*shown, *[vocabulary.mask] * target]
        assert view.inputs.tokens[row].tolist() == expected + [vocabulary.pad] * padding
        assert view.inputs.segment[row].tolist() == [0] * len(expected) + [-1] * padding  # type: ignore[index]
        assert view.valid[row].tolist() == [False] * len(shown) + [True] * target + [False] * padding
