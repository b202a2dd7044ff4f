"""Steps of generation: the tokens of generate, with probabilities computed from the logits of a plain forward pass."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from zoo.checks import Refused
from zoo.components.tokenizer.bytes import Bytes
from zoo.generation import Sampling, generate
from zoo.generation.prompting import Prompting
from zoo.generation.steps import TEMPERATURES, generate_with_candidates
from zoo.generation.token_labels import TokenLabeler
from zoo.model.build import build
from zoo.model.variants.variant import Variant

TOKENIZER = Bytes().build([])
PROMPTING = Prompting(TOKENIZER, own_rules=False)


@pytest.fixture(scope="module")
def model(tiny: Callable[..., dict[str, object]], lively: Callable[..., None]) -> Variant:
    made = build(tiny(), TOKENIZER.get_vocab_size(), seed=0).eval()
    lively(made)
    return made


@pytest.mark.parametrize("sampling", [None, Sampling(seed=3), Sampling(temperature=0.5, top_k=5, top_p=0.9, seed=1)])
def test_steps_are_those_of_generate(sampling: Sampling | None, model: Variant) -> None:
    steps = list(generate_with_candidates(model, PROMPTING, "go", tokens=6, sampling=sampling, candidates=4))
    assert steps[-1].text == "go" + generate(model, PROMPTING, ["go"], tokens=6, sampling=sampling)[0]
    ids = PROMPTING.encode("go", model.vocabulary)
    for step in steps:
        logits = model(torch.tensor([ids]))[0, -1].detach().double()
        expected = logits.softmax(dim=-1).detach()
        chances = None if sampling is None else sampling.compute_probabilities(logits)
        for candidate in step.candidates:
            assert candidate.probability == pytest.approx(float(expected[candidate.label.id]), rel=1e-4)
            if chances is not None:
                assert candidate.chance == pytest.approx(float(chances[candidate.label.id]), abs=1e-5)
        likeliest = [candidate.label.id for candidate in step.candidates[:4]]
        assert likeliest == logits.topk(4).indices.tolist()
        entropy = -sum(p * math.log2(p) for p in expected.tolist() if p > 0)
        assert step.entropy == pytest.approx(entropy, rel=1e-4)
        for temperature, rest in zip(TEMPERATURES, step.rest, strict=True):
            inside = sum(math.exp(candidate.logit / temperature) for candidate in step.candidates)
            share = inside / (inside + math.exp(rest))
            wanted = (logits / temperature).softmax(dim=-1)[[c.label.id for c in step.candidates]].sum()
            assert share == pytest.approx(float(wanted), rel=1e-4)
        ids.append(step.candidates[step.chosen].label.id)


def test_a_chosen_token_is_a_candidate_however_unlikely(model: Variant) -> None:
    steps = list(
        generate_with_candidates(
            model, PROMPTING, "go", tokens=20, sampling=Sampling(seed=5, temperature=5), candidates=1
        )
    )
    assert any(step.chosen == 1 for step in steps)
    assert all(len(step.candidates) in (1, 2) for step in steps)


def test_an_encoder_is_refused(tiny: Callable[..., dict[str, object]]) -> None:
    encoder = build(tiny("encoder"), TOKENIZER.get_vocab_size(), seed=0)
    with pytest.raises(Refused, match="an encoder cannot generate text"):
        next(generate_with_candidates(encoder, PROMPTING, "go"))


# --------------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("text", ["plain", "苹果公司", "é 👩‍👧", "שלום", "a\x00b", "e\u0301"])
def test_labels_spell_the_text(text: str) -> None:
    """Every character is told once, whatever its bytes are, and its parts are numbered."""
    labels = TokenLabeler(TOKENIZER).label_row(TOKENIZER.encode(text).ids)
    assert "".join(label.text for label in labels if label.part == 1) == text
    sizes = [len(character.encode()) for character in text]
    assert [label.parts for label in labels if label.part == 1] == sizes
    assert all(label.kind == "text" for label in labels)


def test_bytes_without_a_character_are_hexadecimal() -> None:
    ids = TOKENIZER.encode("苹").ids
    labeler = TokenLabeler(TOKENIZER)
    assert [(label.text, label.kind) for label in labeler.label_row(ids[:2])] == [("E8", "bytes"), ("8B", "bytes")]
    assert labeler.label_candidate(ids[2], ids[:2]).text == "苹"
    assert labeler.label_candidate(ids[1], ids[:1]).kind == "bytes"
    assert labeler.label_candidate(TOKENIZER.token_to_id("<eos>"), ids).kind == "special"
