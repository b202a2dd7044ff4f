"""Losses on texts, against plain loops over their tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.inspect.conftest import Speaker
from zoo.checks import Refused
from zoo.generation import Prompting, generate
from zoo.inspect.text_loss import build_text_batch, compute_text_loss
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant

TEXTS = ["a text", "another, longer text", "苹果"]


def surprise(logits: Tensor, token: int) -> float:
    return float(-logits.double().log_softmax(dim=-1)[token])


def loss(model: Variant, prompting: Prompting, texts: list[str], answers: list[str] | None = None) -> float:
    with torch.no_grad():
        return float(compute_text_loss(model, build_text_batch(model, prompting, texts, answers)))


def test_a_decoder_predicts_every_next_token(speaker: Speaker) -> None:
    model, prompting = speaker()
    found = []
    for text in TEXTS:
        row = prompting.encode(text, model.vocabulary)
        for end in range(1, len(row)):
            found.append(surprise(model(torch.tensor([row[:end]]))[0, -1].detach(), row[end]))
    assert loss(model, prompting, TEXTS) == pytest.approx(sum(found) / len(found), abs=1e-5)


@pytest.mark.parametrize("variant", ["decoder", "encoder_decoder"])
def test_answers_are_predicted_after_the_texts(variant: str, speaker: Speaker) -> None:
    model, prompting = speaker(variant)
    answers, found = ["yes", "no, never", "好"], []
    for text, answer in zip(TEXTS, answers, strict=True):
        inputs = prompting.build_inputs(model, [prompting.encode(text, model.vocabulary)])
        for token in prompting.tokenizer.encode(answer).ids:
            hidden = model.compute_hidden(inputs)
            found.append(surprise(model.logits(hidden)[0, -1].detach(), token))
            inputs = replace(inputs, tokens=torch.cat([inputs.tokens, torch.tensor([[token]])], dim=1))
    assert loss(model, prompting, TEXTS, answers) == pytest.approx(sum(found) / len(found), abs=1e-5)


def test_an_encoder_decoder_answers_itself(speaker: Speaker) -> None:
    model, prompting = speaker("encoder_decoder")
    batch = build_text_batch(model, prompting, ["a text"])
    assert batch.objective == "answer"
    written = batch.targets[batch.targets >= 0].tolist()
    assert 0 < len(written) <= 16
    assert prompting.decode(written) == generate(model, prompting, ["a text"], tokens=16)[0]


def test_a_prefix_is_read_both_ways(speaker: Speaker) -> None:
    """What is predicted after a text does not depend on whether it was asked for alone; its text is no target."""
    model, prompting = speaker()
    batch = build_text_batch(model, replace(prompting, both_ways=True), ["a text"], ["yes"])
    assert batch.inputs.prefix is not None
    row = prompting.encode("a text", model.vocabulary)
    assert batch.inputs.prefix.tolist() == [len(row)]
    assert batch.targets[0, : len(row) - 1].tolist() == [-1] * (len(row) - 1)
    first = model.compute_hidden(Inputs(torch.tensor([row]), prefix=torch.tensor([len(row)])))
    whole = model.compute_hidden(batch.inputs)
    torch.testing.assert_close(whole[:, : len(row)], first)


def test_the_decoder_may_begin_with_the_last_token(speaker: Speaker) -> None:
    """Positions go on from that token's own."""
    model, prompting = speaker("encoder_decoder")
    batch = build_text_batch(model, replace(prompting, start=None), ["a text"], ["yes"])
    length = len(prompting.encode("a text", model.vocabulary))
    assert batch.inputs.position is not None
    assert batch.inputs.position.tolist() == [[length - 1, length, length + 1]]


def test_an_encoder_predicts_masked_tokens(speaker: Speaker) -> None:
    model, prompting = speaker("encoder")
    prompting = replace(prompting, mask=3)
    text = "a text of forty tokens, as it is of bytes"
    batch = build_text_batch(model, prompting, [text, "short"])
    row = prompting.encode(text, model.vocabulary)
    places = (batch.targets[0] >= 0).nonzero()[:, 0].tolist()
    assert len(places) == round(0.15 * len(row))
    assert (batch.targets[1] >= 0).sum() == 1
    masked = [3 if place in places else token for place, token in enumerate(row)]
    assert batch.inputs.tokens[0].tolist() == masked
    short = prompting.encode("short", model.vocabulary)
    (place,) = (batch.targets[1] >= 0).nonzero()[:, 0].tolist()
    place -= len(row) - len(short)
    logits = model(torch.tensor([masked]))[0].detach()
    found = [surprise(logits[place], row[place]) for place in places]
    short_logits = model(torch.tensor([[3 if i == place else token for i, token in enumerate(short)]]))[0].detach()
    found.append(surprise(short_logits[place], short[place]))
    assert compute_text_loss(model, batch).item() == pytest.approx(sum(found) / len(found), abs=1e-5)
    other = build_text_batch(model, prompting, [text, "short"], seed=1)
    assert not torch.equal(other.targets, batch.targets)


def test_an_encoder_without_masks_predicts_every_token(speaker: Speaker) -> None:
    model, prompting = speaker("encoder")
    batch = build_text_batch(model, replace(prompting, mask=None), ["abc"])
    assert batch.objective == "every_token"
    assert torch.equal(batch.targets, batch.inputs.tokens)


def test_what_cannot_be_predicted_is_refused(speaker: Speaker) -> None:
    model, prompting = speaker()
    headless, _ = speaker("encoder", head=None)
    with pytest.raises(Refused, match=r"a loss needs a model with a head: got model.head=null"):
        build_text_batch(headless, prompting, ["a"])
    with pytest.raises(Refused, match="at least two tokens"):
        build_text_batch(model, replace(prompting, before=(), own_rules=False), ["a"])
    with pytest.raises(Refused, match="one for each text: got 1 for 2"):
        build_text_batch(model, prompting, ["a", "b"], ["c"])
    with pytest.raises(Refused, match="must not be empty"):
        build_text_batch(model, prompting, ["a"], [""])
    with pytest.raises(Refused, match="an encoder answers no prompts"):
        build_text_batch(*speaker("encoder"), ["a"], ["b"])
    with pytest.raises(Refused, match="at least one"):
        build_text_batch(model, prompting, [])
    small, _ = speaker(position={"name": "learned", "length": 8})
    with pytest.raises(Refused, match="the model has 8 positions: got"):
        build_text_batch(small, prompting, ["a long text"])
