"""What the generator reads and proposes, what the model reads of it, and who learns from what."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from zoo.checks import Refused
from zoo.components.objective.replaced_token import Generator, ReplacedToken, _sample_tokens
from zoo.data.batch import DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.inputs import Inputs
from zoo.model.objective import View
from zoo.testing.objective_checks import prepare
from zoo.training.evaluation import Evaluation

Make = Callable[..., Any]
LENGTHS = [[9, 4, 8], [21], [2, 3, 3], [12, 7]]


class Reader:
    """A model that says nothing and remembers what it was given."""

    def compute_hidden(self, inputs: Inputs) -> Tensor:
        self.read = inputs.tokens
        return torch.zeros(*inputs.tokens.shape, 16)

    def logits(self, hidden: Tensor) -> Tensor:
        raise AssertionError("the model's own head is not used")


@pytest.fixture
def objective(vocabulary: Vocabulary) -> ReplacedToken:
    torch.manual_seed(0)
    return ReplacedToken(16, vocabulary, "encoder", rate=0.4, generator=Generator(dim=8, layers=2, heads=2))


@pytest.fixture
def batch(documents: Make, vocabulary: Vocabulary) -> DocumentBatch:
    made: DocumentBatch = documents(LENGTHS, vocabulary)
    return made


def test_the_generator_reads_masks_and_the_model_what_was_proposed(
    objective: ReplacedToken, batch: DocumentBatch, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    view, reader = prepare(objective, batch), Reader()
    chosen, original = view.extra["chosen"], batch.tokens[:, :-1]
    assert chosen.any(dim=1).all()
    assert (original[chosen] >= 14).all(), "only words are masked"
    assert torch.equal(view.inputs.tokens, torch.where(chosen, vocabulary.mask, original))
    assert torch.equal(view.valid, batch.segment[:, :-1] >= 0)
    _, replaced = objective.predict(reader, view)
    assert torch.equal(reader.read[~chosen], original[~chosen])
    assert torch.equal(replaced, (reader.read != original)[view.valid].long())
    assert 0 < int(replaced.sum()) <= int(chosen.sum())


def test_a_proposal_is_where_the_sum_first_exceeds_the_number() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, uniform = torch.randn(500, 7, generator=generator), torch.rand(500, generator=generator)
    uniform[0] = 0.0
    for row, drawn in enumerate(_sample_tokens(logits, uniform).tolist()):
        weights = [math.exp(x) for x in logits[row].tolist()]
        assert sum(weights[:drawn]) / sum(weights) <= float(uniform[row]) < sum(weights[: drawn + 1]) / sum(weights)


def test_proposals_follow_the_distribution() -> None:
    probabilities = torch.tensor([0.0, 0.1, 0.2, 0.0, 0.7])
    uniform = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    drawn = _sample_tokens(probabilities.log().expand(4000, 5), uniform).bincount(minlength=5)
    assert drawn[[0, 3]].tolist() == [0, 0]
    assert _sample_tokens(probabilities.log()[None], torch.zeros(1)).tolist() == [1], "what cannot be is not drawn"
    assert stats.chisquare(drawn[[1, 2, 4]].numpy(), [400, 800, 2800]).pvalue > 1e-6


def test_neither_reads_what_was_masked(objective: ReplacedToken, batch: DocumentBatch, vocabulary: Vocabulary) -> None:
    """Another token in a masked place changes the label of that place at most."""
    view, reader = prepare(objective, batch, 3), Reader()
    _, replaced = objective.predict(reader, view)
    read = reader.read
    turned = 0
    for row, place in view.extra["chosen"].nonzero().tolist():
        tokens = batch.tokens.clone()
        tokens[row, place] = read[row, place] if read[row, place] >= 14 else 14 + (tokens[row, place] - 13) % 18
        other = prepare(objective, replace(batch, tokens=tokens), 3)
        assert torch.equal(other.inputs.tokens, view.inputs.tokens)
        _, after = objective.predict(reader, other)
        assert torch.equal(reader.read, read)
        differing = (after != replaced).nonzero()[:, 0].tolist()
        at = int(view.valid.flatten()[: row * view.valid.shape[1] + place].sum())
        assert differing in ([], [at])
        turned += len(differing)
    assert turned > 0, "a proposal that is the original is called original"


def test_each_learns_from_its_own_loss(
    objective: ReplacedToken, batch: DocumentBatch, built: Make, generator: torch.Generator
) -> None:
    model, view = built("encoder"), prepare(objective, batch)
    terms = objective.loss(model, view)
    assert set(terms) == {"generator", "discriminator"}
    small, own = list(objective.generator.parameters()), [*model.parameters(), *objective.score.parameters()]
    for name, learns, rests in (("generator", small, own), ("discriminator", own, small)):
        found = torch.autograd.grad(terms[name], [*learns, *rests], allow_unused=True, retain_graph=True)
        assert all(gradient is not None and gradient.any() for gradient in found[: len(learns)])
        assert all(gradient is None for gradient in found[len(learns) :])


def test_losses_are_those_of_torch(batch: DocumentBatch, built: Make, vocabulary: Vocabulary) -> None:
    torch.manual_seed(1)
    objective, model = ReplacedToken(16, vocabulary, "encoder", weight=7.0), built("encoder")
    view = prepare(objective, batch)
    reader = Reader()
    objective.predict(reader, view)
    score = objective.score(model.compute_hidden(replace(view.inputs, tokens=reader.read)))[..., 0]
    label = (reader.read != view.targets).float()
    binary = torch.nn.functional.binary_cross_entropy_with_logits(score[view.valid], label[view.valid])
    terms = objective.loss(model, view)
    torch.testing.assert_close(terms["discriminator"], 7.0 * binary)
    logits = objective.generator(view.inputs, torch.ones_like(view.valid)).materialize().view(*view.valid.shape, -1)
    chosen = view.extra["chosen"]
    torch.testing.assert_close(
        terms["generator"], torch.nn.functional.cross_entropy(logits[chosen], view.targets[chosen])
    )


def test_losses_of_those_who_know_nothing(
    objective: ReplacedToken, batch: DocumentBatch, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    with torch.no_grad():
        objective.generator.table.weight.zero_()
        objective.score.bias.zero_()
    terms = objective.loss(Reader(), prepare(objective, batch))
    assert float(terms["generator"].detach()) == pytest.approx(math.log(vocabulary.size))
    assert float(terms["discriminator"].detach()) == pytest.approx(50 * math.log(2))


def test_documents_keep_to_themselves_in_the_generator(
    objective: ReplacedToken, batch: DocumentBatch, lively: Make
) -> None:
    """Packed is what separate is, in training and out of it; a document of one token is one."""
    lively(objective.generator)
    tokens, segment, position = batch.tokens, batch.segment, batch.position
    for mode in (True, False):
        objective.generator.train(mode)
        with torch.set_grad_enabled(mode):
            everywhere = torch.ones_like(tokens, dtype=torch.bool)
            logits = objective.generator(Inputs(tokens, segment, position), everywhere).materialize()
            packed = logits.view(*tokens.shape, -1)
            for row, lengths in enumerate(LENGTHS):
                at = 0
                for length in lengths:
                    own = slice(at, at + length)
                    alone = Inputs(tokens[row : row + 1, own], torch.zeros(1, length), torch.arange(length)[None])
                    logits = objective.generator(alone, torch.ones(1, length, dtype=torch.bool)).materialize()
                    torch.testing.assert_close(packed[row, own], logits, atol=1e-5, rtol=1e-5)
                    at += length


def test_evaluation_judges_two_classes(
    objective: ReplacedToken, batch: DocumentBatch, built: Make, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    view: View = prepare(objective, batch)
    evaluation = Evaluation(objective, "documents", vocabulary.size, 100)
    logits, replaced = objective.predict(built("encoder"), view)
    assert logits.shape == (int(view.valid.sum()), 2)
    evaluation.update(logits, replaced, view)
    found = evaluation.compute()
    right = [(row[1] > row[0]) == bool(label) for row, label in zip(logits.tolist(), replaced.tolist(), strict=True)]
    assert set(found) == {"loss", "perplexity", "replaced_accuracy"}
    assert found["replaced_accuracy"] == pytest.approx(sum(right) / len(right))
    assert found["loss"] == pytest.approx(
        float(objective.loss(built("encoder"), view)["discriminator"].detach() / 50), rel=1e-5
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim": 9, "heads": 3}, "generator.dim must be even: got generator.dim=9"),
        ({"heads": 3}, "generator.heads must divide generator.dim: got generator.heads=3, generator.dim=64"),
        ({"layers": 0}, "generator.layers must be positive: got generator.layers=0"),
    ],
)
def test_a_generator_that_cannot_be(given: dict[str, int], message: str) -> None:
    with pytest.raises(Refused, match=message):
        Generator(**given)
