"""Losses against models of ``transformers`` that are trained in the same way: same weights, same rows, same loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from zoo.components.objective.causal_lm import CausalLm
from zoo.components.objective.classification import Classification
from zoo.components.objective.masked_lm import MaskedLm
from zoo.components.objective.next_sentence import NextSentence
from zoo.components.objective.replaced_token import ReplacedToken
from zoo.data.batch import DocumentBatch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.inputs import Inputs
from zoo.model.objective import Objective, View
from zoo.testing.objective_checks import prepare

VOCABULARY = Vocabulary(40, 0, 1, 2, 3, 4, 5, tuple(range(6, 14)))
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


class Wrapped:
    """What an objective needs of a model, from functions."""

    def __init__(self, hidden: Any, logits: Any) -> None:
        self.compute_hidden, self.logits, self.defer_logits = hidden, logits, logits


def rows(*lengths: int) -> DocumentBatch:
    """One document a row, bos first, padding on the right."""
    width = max(lengths) + 1
    tokens = torch.randint(14, 40, (len(lengths), width), generator=torch.Generator().manual_seed(0))
    tokens[:, 0] = VOCABULARY.bos
    segment = torch.where(torch.arange(width)[None] < torch.tensor(lengths)[:, None], 0, -1)
    return DocumentBatch(tokens, segment, torch.arange(width).expand_as(tokens))


def masks(inputs: Inputs) -> Tensor:
    assert inputs.segment is not None
    return (inputs.segment >= 0).long()


def ignored(view: View) -> Tensor:
    return view.targets.masked_fill(~view.valid, -100)


def made(cls: Any, config: Any) -> Any:
    torch.manual_seed(0)
    model = cls(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def agree(objective: Objective, model: Wrapped, view: View, theirs: Tensor, parameters: list[nn.Parameter]) -> None:
    """The loss, and its gradient in the other's parameters."""
    ours = torch.stack(list(objective.loss(model, view).values())).sum()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    used = [p for p in parameters if p.requires_grad]
    found = [torch.autograd.grad(loss, used, allow_unused=True) for loss in (ours, theirs)]
    assert sum(gradient is not None for gradient in found[1]) > 10
    for one, other in zip(*found, strict=True):
        if other is not None:
            assert one is not None
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_causal_lm_is_that_of_gpt2() -> None:
    config = transformers.GPT2Config(vocab_size=40, n_positions=64, n_embd=16, n_layer=2, n_head=2)
    theirs = made(transformers.GPT2LMHeadModel, config)
    batch, objective = rows(8, 8, 8), CausalLm(16, VOCABULARY, "decoder")
    view = prepare(objective, batch)
    model = Wrapped(lambda inputs: theirs.transformer(inputs.tokens).last_hidden_state, theirs.lm_head)
    tokens = batch.tokens[:, :-1]
    agree(objective, model, view, theirs(tokens, labels=tokens).loss, list(theirs.parameters()))


@pytest.mark.parametrize("cls", [MaskedLm, NextSentence])
def test_pretraining_is_that_of_bert(cls: type[MaskedLm] | type[NextSentence]) -> None:
    """Next-sentence prediction with its pooler, its token types and its classes, too."""
    config = transformers.BertConfig(**SIZES, max_position_embeddings=64)
    both = cls is NextSentence
    theirs = made(transformers.BertForPreTraining if both else transformers.BertForMaskedLM, config)
    objective: Any = (
        NextSentence(16, VOCABULARY, "encoder", token_types=True) if both else cls(16, VOCABULARY, "encoder")
    )
    labels = {}
    view = prepare(objective, rows(15, 15, 9, 12), 2)
    read = {"attention_mask": masks(view.inputs), "token_type_ids": view.inputs.token_type}
    if both:
        objective.pooler, objective.follows = theirs.bert.pooler.dense, theirs.cls.seq_relationship
        labels = {"next_sentence_label": view.extra["other"]}
        assert set(view.extra["other"].tolist()) == {0, 1}
    predictions = theirs.cls.predictions
    model = Wrapped(lambda inputs: theirs.bert(inputs.tokens, **read).last_hidden_state, predictions)
    expected = theirs(view.inputs.tokens, labels=ignored(view), **read, **labels).loss
    agree(objective, model, view, expected, list(theirs.parameters()))


def test_replaced_token_is_that_of_electra() -> None:
    """Of the two terms the model's; the generator is torch's, and its loss is compared with torch's beside it."""
    config = transformers.ElectraConfig(**SIZES, embedding_size=16, max_position_embeddings=64)
    theirs = made(transformers.ElectraForPreTraining, config)
    torch.manual_seed(0)
    objective = ReplacedToken(16, VOCABULARY, "encoder", rate=0.4, weight=1.0)
    objective.score = theirs.discriminator_predictions.dense_prediction
    view = prepare(objective, rows(15, 15, 9, 12), 2)
    read: list[Tensor] = []

    def hidden(inputs: Inputs) -> Tensor:
        read.append(inputs.tokens)
        found = theirs.electra(inputs.tokens, attention_mask=masks(inputs)).last_hidden_state
        out: Tensor = theirs.discriminator_predictions.activation(theirs.discriminator_predictions.dense(found))
        return out

    terms = objective.loss(Wrapped(hidden, None), view)
    labels = (read[0] != view.targets).long()
    expected = theirs(read[0], attention_mask=masks(view.inputs), labels=labels).loss
    assert 0 < int(labels.sum()) < int(view.valid.sum())
    torch.testing.assert_close(terms["discriminator"], expected, atol=1e-5, rtol=1e-5)
    parameters = [p for p in theirs.parameters() if p.requires_grad]
    ours, other = (
        torch.autograd.grad(x, parameters, allow_unused=True, retain_graph=True)
        for x in (terms["discriminator"], expected)
    )
    for one, two in zip(ours, other, strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_classification_is_that_of_gpt2() -> None:
    """Its classes are judged from the last token that is not padding."""
    config = transformers.GPT2Config(
        vocab_size=40, n_positions=64, n_embd=16, n_layer=2, n_head=2, num_labels=40, pad_token_id=0
    )
    theirs = made(transformers.GPT2ForSequenceClassification, config)
    objective = Classification(16, VOCABULARY, "decoder")
    with torch.no_grad():
        objective.classes.bias.zero_()
    objective.classes.weight = theirs.score.weight
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(14, 40, (4, 7), generator=generator)
    target = torch.stack([torch.randint(14, 40, (4,), generator=generator), torch.full((4,), VOCABULARY.eos)], dim=1)
    batch = PairBatch(source, target, torch.tensor([7, 1, 4, 5]), torch.full((4,), 2))
    view = prepare(objective, batch)
    mask = masks(view.inputs)
    model = Wrapped(lambda inputs: theirs.transformer(inputs.tokens, attention_mask=mask).last_hidden_state, None)
    expected = theirs(view.inputs.tokens, attention_mask=mask, labels=target[:, 0]).loss
    agree(objective, model, view, expected, list(theirs.parameters()))
