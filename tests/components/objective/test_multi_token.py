"""Every further token against a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.checks import Refused
from zoo.components.objective.causal_lm import CausalLm
from zoo.components.objective.multi_token import MultiToken
from zoo.data.interfaces import Vocabulary
from zoo.testing.objective_checks import prepare

LENGTHS = [[9, 4, 8], [21], [2, 3, 3], [12, 7]]
Make = Callable[..., Any]


@pytest.mark.parametrize(("ahead", "lengths"), [(2, LENGTHS), (4, LENGTHS), (9, [[4], [5]])])
def test_terms_are_those_of_a_loop(
    ahead: int, lengths: list[list[int]], documents: Make, built: Make, vocabulary: Vocabulary
) -> None:
    """Where no document is long enough for a further token its term is zero."""
    torch.manual_seed(0)
    objective = MultiToken(16, vocabulary, "decoder", ahead=ahead, z_loss=0.5)
    batch, model = documents(lengths, vocabulary), built("decoder")
    view = prepare(objective, batch)
    terms = objective.loss(model, view)
    further = [f"ahead_{k}" for k in range(2, ahead + 1)]
    assert set(terms) == {"cross_entropy", "z_loss", *further, *(f"{name}_z_loss" for name in further)}
    hidden, counts = model.compute_hidden(view.inputs), objective.count_terms(view)
    for k in range(1, ahead + 1):
        losses, squares = [], []
        for row in range(batch.rows):
            for i in range(batch.tokens.shape[1] - k):
                if not 0 <= int(batch.segment[row, i]) == int(batch.segment[row, i + k]):
                    continue
                h = hidden[row, i]
                if k > 1:
                    inner = objective.further[k - 2].weight @ h
                    h = h + inner / (1 + torch.exp(-inner))
                logits = model.logits(h)
                total = logits.exp().sum().log()
                losses.append(total - logits[batch.tokens[row, i + k]])
                squares.append(total**2)
        mean = torch.stack(losses).mean() if losses else torch.zeros(())
        z = 0.5 * (torch.stack(squares).mean() if squares else torch.zeros(()))
        names = ("cross_entropy", "z_loss") if k == 1 else (f"ahead_{k}", f"ahead_{k}_z_loss")
        assert [counts[name] for name in names] == [len(losses)] * 2
        torch.testing.assert_close(terms[names[0]], mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(terms[names[1]], z, atol=1e-4, rtol=1e-5)


def test_it_is_judged_as_causal_lm(documents: Make, built: Make, vocabulary: Vocabulary) -> None:
    batch, model = documents(LENGTHS, vocabulary), built("decoder")
    found = []
    for cls in (MultiToken, CausalLm):
        objective = cls(16, vocabulary, "decoder")
        found.append(objective.predict(model, prepare(objective, batch)))
        assert objective.models_text
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_one_token_ahead_is_another_objective(vocabulary: Vocabulary) -> None:
    with pytest.raises(Refused, match=r"ahead must be between 2 and 64: got ahead=1"):
        MultiToken(16, vocabulary, "decoder", ahead=1)
