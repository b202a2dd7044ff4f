"""Rows of two kinds, against plain loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from zoo.checks import Refused
from zoo.components.objective.causal_and_masked import CausalAndMasked
from zoo.components.objective.causal_lm import CausalLm
from zoo.data.interfaces import Vocabulary
from zoo.testing.objective_checks import prepare

LENGTHS = [[9, 4, 8], [21], [2, 3, 3], [12, 7], [5, 9]]
Make = Callable[..., Any]


def test_a_causal_row_is_that_of_causal_lm_and_a_masked_one_asks_one_place_earlier(
    documents: Make, vocabulary: Vocabulary
) -> None:
    batch = documents(LENGTHS, vocabulary)
    causal = prepare(CausalLm(16, vocabulary, "decoder"), batch)
    length = batch.tokens.shape[1] - 1
    kinds = set()
    for seed in range(30):
        view = prepare(CausalAndMasked(16, vocabulary, "decoder", rate=0.4), batch, seed)
        assert torch.equal(view.targets, causal.targets)
        assert torch.equal(view.inputs.position, causal.inputs.position)
        assert torch.equal(view.inputs.segment, causal.inputs.segment)
        for row in range(batch.rows):
            prefix = int(view.inputs.prefix[row])  # type: ignore[index]
            kinds.add(prefix)
            if prefix == 0:
                assert torch.equal(view.inputs.tokens[row], causal.inputs.tokens[row])
                assert torch.equal(view.valid[row], causal.valid[row])
                continue
            asked = view.valid[row].nonzero()[:, 0].tolist()
            assert set(asked) <= set(causal.valid[row].nonzero()[:, 0].tolist()), "the document goes on there"
            assert all(view.targets[row, i] >= 14 for i in asked)
            changed = (view.inputs.tokens[row] != batch.tokens[row, :-1]).nonzero()[:, 0].tolist()
            assert {i - 1 for i in changed} <= set(asked)
    assert kinds == {0, length}


def test_shares_of_a_masked_row(vocabulary: Vocabulary) -> None:
    from tests.components.objective.test_masked_lm import plausible
    from zoo.data.batch import DocumentBatch

    tokens = torch.randint(14, 32, (40, 301), generator=torch.Generator().manual_seed(0))
    batch = DocumentBatch(tokens, torch.zeros_like(tokens), torch.arange(301).expand_as(tokens))
    view = prepare(CausalAndMasked(16, vocabulary, "decoder", masked=1.0), batch)
    count = int(view.valid.sum())
    assert plausible(count, 40 * 300, 0.15)
    seen = view.valid[:, :-1]  # the last token is asked for and never read
    assert plausible(int((view.inputs.tokens[:, 1:][seen] == vocabulary.mask).sum()), int(seen.sum()), 0.8)
    assert (view.inputs.tokens[:, 0] == tokens[:, 0]).all(), "nothing stands before the first token to predict it"


@pytest.mark.parametrize("masked", [0.0, 1.0, 0.4])
def test_a_share_of_the_rows_is_masked(masked: float, documents: Make, vocabulary: Vocabulary) -> None:
    from tests.components.objective.test_masked_lm import plausible

    batch, objective = documents(LENGTHS, vocabulary), CausalAndMasked(16, vocabulary, "decoder", masked=masked)
    found = torch.stack([prepare(objective, batch, seed).inputs.prefix > 0 for seed in range(100)])  # type: ignore[operator]
    for row in range(5):
        assert plausible(int(found[:, row].sum()), 100, masked)


def test_who_sees_whom(documents: Make, built: Make, vocabulary: Vocabulary) -> None:
    """In a masked row all of a document, in a causal row what came before."""
    batch = documents([[4, 4], [4, 4]], vocabulary)
    inputs = prepare(CausalAndMasked(16, vocabulary, "decoder"), batch).inputs
    model = built("decoder")
    before = model.compute_hidden(inputs)
    assert sorted(inputs.prefix.tolist()) == [0, 7]  # type: ignore[union-attr]
    for row in range(2):
        for changed in range(7):
            tokens = inputs.tokens.clone()
            tokens[row, changed] = 14 + (tokens[row, changed] + 1) % 18
            after = model.compute_hidden(replace(inputs, tokens=tokens))
            masked, segment = bool(inputs.prefix[row]), inputs.segment[row].tolist()  # type: ignore[index]
            seen = [segment[i] == segment[changed] and (masked or changed <= i) for i in range(7)]
            assert (after[row] != before[row]).any(dim=1).tolist() == seen


def test_a_share_is_a_share(vocabulary: Vocabulary) -> None:
    with pytest.raises(Refused, match=r"masked must be between 0.0 and 1.0: got masked=1.5"):
        CausalAndMasked(16, vocabulary, "decoder", masked=1.5)
