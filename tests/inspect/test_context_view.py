"""A word in two texts: the same before any context, and apart after it."""

from __future__ import annotations

import pytest
import torch

from tests.inspect.conftest import Speaker
from zoo.checks import Refused
from zoo.inspect.context_view import compare_contexts, find_common_word

BANK = ("She sat on the bank of the river.", "He put the money into the bank.")


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (*BANK, "bank"),
        ("苹果公司发布了新款iPhone", "她每天吃一个苹果", "苹果"),
        ("the cat", "a cat and the dog", "the"),
        ("an Apple, an Orange", "an Orange", "Orange"),
    ],
)
def test_the_longest_common_word_is_found(first: str, second: str, word: str) -> None:
    assert find_common_word(first, second) == word


@pytest.mark.parametrize("variant", ["encoder", "encoder_decoder", "decoder"])
def test_vectors_begin_alike_and_part(variant: str, speaker: Speaker) -> None:
    """Without positions in the embeddings, equal words begin equal, whatever is around them."""
    model, prompting = speaker(variant, position={"name": "rotary"})
    found = compare_contexts(model, prompting, BANK)
    assert found.word == "bank"
    for (begin, end), tokens in zip(found.spans, found.tokens, strict=True):
        assert "".join(token.text for token in tokens[begin:end]) == "bank"
    assert found.layers[0].cosine == pytest.approx(1, abs=1e-5)
    assert found.layers[0].distance == pytest.approx(0, abs=1e-5)
    assert all(layer.cosine < 0.999 for layer in found.layers[1:])
    assert len(found.layers) == 1 + 2


def test_cosines_are_those_of_hidden_states(speaker: Speaker) -> None:
    model, prompting = speaker("encoder")
    found = compare_contexts(model, prompting, BANK)
    vectors = []
    for text in BANK:
        ids = prompting.encode(text, model.vocabulary)
        begin = text.index("bank")
        hidden = model.hidden_states(torch.tensor([ids]))[0]  # type: ignore[operator]
        vectors.append(hidden[begin : begin + 4].mean(dim=0))
    expected = torch.nn.functional.cosine_similarity(vectors[0], vectors[1], dim=0)
    assert found.layers[-1].cosine == pytest.approx(float(expected.detach()), abs=1e-5)


def test_the_same_text_twice_does_not_part(speaker: Speaker) -> None:
    model, prompting = speaker()
    for layer in compare_contexts(model, prompting, (BANK[0], BANK[0]), "river").layers:
        assert layer.cosine == pytest.approx(1, abs=1e-5)
        assert layer.neighbors[0][0].cosine == pytest.approx(layer.neighbors[1][0].cosine, abs=1e-5)


def test_characters_of_several_tokens_belong_to_the_word(speaker: Speaker) -> None:
    model, prompting = speaker("encoder")
    found = compare_contexts(model, prompting, ("苹果公司", "她吃苹果"))
    assert found.word == "苹果"
    assert found.spans == ((0, 6), (6, 12))


@pytest.mark.parametrize(
    ("texts", "word", "line"),
    [
        (("one", "two"), None, "the texts must have a word in common"),
        (("one", "one two"), "two", "the text must have the word 'two': got 'one'"),
    ],
)
def test_texts_without_the_word_are_refused(
    texts: tuple[str, str], word: str | None, line: str, speaker: Speaker
) -> None:
    model, prompting = speaker()
    with pytest.raises(Refused, match=line):
        compare_contexts(model, prompting, texts, word)
