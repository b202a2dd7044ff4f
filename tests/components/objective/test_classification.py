"""What is read and pooled of each row, against plain loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch

from zoo.checks import Refused
from zoo.components.objective.classification import Classification
from zoo.data.interfaces import Vocabulary
from zoo.model.inputs import Inputs
from zoo.testing.objective_checks import prepare
from zoo.training.evaluation import Evaluation

PAIRS = [(5, 2), (1, 2), (8, 2), (3, 2)]
Pool = Literal["first", "last", "mean"]
CASES: list[tuple[str, Pool]] = [
    ("encoder", "first"),
    ("encoder", "last"),
    ("encoder", "mean"),
    ("decoder", "last"),
    ("decoder", "mean"),
]
Make = Callable[..., Any]


@pytest.mark.parametrize(("variant", "pool"), CASES)
def test_the_class_of_each_source(variant: str, pool: Pool, pairs: Make, built: Make, vocabulary: Vocabulary) -> None:
    """Each row alone, without padding: logits, loss, what is written and what evaluation makes of it."""
    torch.manual_seed(0)
    objective, model = Classification(16, vocabulary, variant, pool=pool), built(variant)
    batch = pairs(PAIRS, vocabulary)
    view = prepare(objective, batch)
    logits, targets = objective.predict(model, view)
    expected = []
    for row, (source, _) in enumerate(PAIRS):
        tokens = [vocabulary.bos, *batch.source[row, :source].tolist(), vocabulary.sep]
        assert view.inputs.tokens[row].tolist() == tokens + [vocabulary.pad] * (10 - len(tokens))
        assert view.inputs.segment[row].tolist() == [0] * len(tokens) + [-1] * (10 - len(tokens))  # type: ignore[index]
        assert view.valid[row].nonzero().tolist() == [[len(tokens) - 1]]
        hidden = model.compute_hidden(Inputs(torch.tensor([tokens])))[0]
        pooled = {"first": hidden[0], "last": hidden[-1], "mean": sum(hidden) / len(hidden)}[pool]
        expected.append(objective.classes.weight @ pooled + objective.classes.bias)
    torch.testing.assert_close(logits, torch.stack(expected), atol=1e-5, rtol=1e-5)
    assert targets.tolist() == batch.target[:, 0].tolist()
    losses = [x.exp().sum().log() - x[y] for x, y in zip(expected, targets, strict=True)]
    torch.testing.assert_close(objective.loss(model, view)["cross_entropy"], torch.stack(losses).mean())
    likeliest = [int(x.argmax()) for x in expected]
    assert objective.generate_targets(model, batch) == [[token] for token in likeliest]
    evaluation = Evaluation(objective, "pairs", vocabulary.size, 0)
    evaluation.update(logits, targets, view)
    right = sum(a == b for a, b in zip(likeliest, targets.tolist(), strict=True)) / 4
    found = evaluation.compute()
    assert (found["token_accuracy"], found["exact_match"]) == (pytest.approx(right), pytest.approx(right))
    assert found["target_nll"] == pytest.approx(float(torch.stack(losses).mean().detach()), rel=1e-5)


@pytest.mark.parametrize("variant", ["encoder", "decoder"])
def test_a_target_is_one_token(variant: str, pairs: Make, vocabulary: Vocabulary) -> None:
    objective = Classification(16, vocabulary, variant)
    with pytest.raises(Refused, match="needs targets of one token, the class: got a target of 3 tokens"):
        prepare(objective, pairs([(5, 2), (3, 4)], vocabulary))
    with pytest.raises(Refused, match="got a target of 0 tokens"):
        prepare(objective, pairs([(5, 1)], vocabulary))


def test_the_first_token_of_a_decoder_has_seen_nothing(vocabulary: Vocabulary) -> None:
    with pytest.raises(Refused, match=r"pool must not be first for a decoder.*: got pool=first"):
        Classification(16, vocabulary, "decoder", pool="first")
