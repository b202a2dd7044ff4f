"""Texts of prompts: side by side as alone, piece by piece as at once, and refused where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.checks import Refused
from zoo.components.tokenizer.characters import Characters
from zoo.data.special_tokens import Required
from zoo.generation import Prompting, Sampling, fill, generate, search_texts, stream
from zoo.model.build import build
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant
from zoo.testing.subject import SMALL, perturb

TOKENIZER = Characters().build(["abcdefghijklmnopqrstuvwxyz 0123456789🦓"], Required(mask=True, sep=True, sentinels=32))
SIZE = TOKENIZER.get_vocab_size()
PROMPTS = ["one", "a longer prompt", "🦓", "x"]
BOS, EOS, MASK = 1, 2, 3
FORMS = {
    "decoder": Prompting(TOKENIZER, frozenset({EOS}), before=(BOS,)),
    "answers": Prompting(TOKENIZER, frozenset({EOS}), before=(BOS,), after=(4,), answers=True),
    "both_ways": Prompting(TOKENIZER, frozenset({EOS}), before=(BOS,), both_ways=True),
    "encoder_decoder": Prompting(TOKENIZER, frozenset({EOS}), after=(EOS,), start=(BOS,)),
    "handed_over": Prompting(TOKENIZER, frozenset({EOS}), before=(BOS,), start=None),
}
HOW: list[dict[str, Any]] = [{}, {"sampling": Sampling(temperature=0.8, top_k=20, seed=3)}, {"stops": ["0", "3", "a"]}]


def made(variant: str, **over: Any) -> Variant:
    model = build({"variant": variant, **SMALL, "head": {"tied": False}, **over}, SIZE, seed=0).eval().double()
    perturb(model)
    return model


def diverged() -> Variant:
    model = made("decoder")
    next(model.parameters()).data.fill_(float("nan"))
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, Variant]:
    return {variant: made(variant) for variant in ("decoder", "encoder", "encoder_decoder")}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", HOW, ids=["greedy", "drawn", "stopped"])
def test_a_prompt_gives_the_same_text_alone_piece_by_piece_and_without_cache(
    form: str, how: dict[str, Any], models: dict[str, Variant]
) -> None:
    model = models["encoder_decoder" if form in ("encoder_decoder", "handed_over") else "decoder"]
    together = generate(model, FORMS[form], PROMPTS, tokens=12, **how)
    assert len(set(together)) > 1
    assert together == generate(model, FORMS[form], PROMPTS, tokens=12, cached=False, **how)
    for prompt, text in zip(PROMPTS, together, strict=True):
        pieces = list(stream(model, FORMS[form], prompt, tokens=12, **how))
        assert "".join(pieces) == text
        assert not any(stop in text for stop in how.get("stops", ()))


def test_samples_have_the_seeds_that_follow(models: dict[str, Variant]) -> None:
    sampling = [Sampling(seed=seed) for seed in (7, 8, 9)]
    both = generate(models["decoder"], FORMS["decoder"], PROMPTS[:2], tokens=8, sampling=sampling[0], samples=3)
    alone = [
        [generate(models["decoder"], FORMS["decoder"], [p], tokens=8, sampling=s)[0] for s in sampling]
        for p in PROMPTS[:2]
    ]
    assert both == [*alone[0], *alone[1]]
    assert len(set(both)) == 6


def test_the_decoder_that_takes_over_begins_at_the_place_of_the_prompts_last_token(models: dict[str, Variant]) -> None:
    """As it was trained to: all that it reads stands where it stood in the document, what came before is hidden."""
    model, prompting = models["encoder_decoder"], FORMS["handed_over"]
    ids = prompting.encode("abc", SIZE)
    inputs = prompting.build_inputs(model, [ids, prompting.encode("longer", SIZE)])
    source, target = torch.tensor([ids]), torch.tensor([ids])
    with torch.no_grad():
        hidden = model.compute_hidden(inputs)[0, -1]
        whole = Inputs(target, torch.tensor([[-1, -1, -1, 0]]), torch.arange(4)[None], source=source)
        torch.testing.assert_close(hidden, model.compute_hidden(whole)[0, -1])


def test_tokens_end_where_positions_do() -> None:
    model = made("decoder", position={"name": "learned", "length": 12})
    never = Prompting(TOKENIZER, shown=frozenset(range(38)))
    assert len(never.encode(generate(model, never, ["12345"])[0], SIZE)) == 8
    with pytest.raises(Refused, match="after a prompt of 5 tokens a model of 12 positions writes at most 8: got 9"):
        generate(model, never, ["12345"], tokens=9)
    generate(model, never, ["12345"], tokens=8)
    search_texts(model, never, ["12345"], tokens=8, beams=2)
    with pytest.raises(Refused, match="the model has 12 positions: got 13 tokens"):
        generate(model, never, ["1234567890123"])
    both = made("encoder_decoder", position={"name": "learned", "length": 12})
    with pytest.raises(Refused, match="the model has 12 positions: got 13 tokens"):
        generate(both, Prompting(TOKENIZER, start=(BOS,)), ["1234567890123"])


def test_the_number_of_tokens_is_kept_to(models: dict[str, Variant]) -> None:
    never = Prompting(TOKENIZER, shown=frozenset(range(38)))
    for tokens in (1, 5):
        text = generate(models["decoder"], never, ["ab"], tokens=tokens)[0]
        assert len(never.encode(text, SIZE)) == tokens
    with pytest.raises(Refused, match="tokens: must be positive: got 0"):
        generate(models["decoder"], never, ["ab"], tokens=0)


REFUSED: dict[str, tuple[Callable[[dict[str, Variant]], Any], str]] = {
    "encoder": (lambda m: generate(m["encoder"], FORMS["decoder"], ["a"]), "an encoder cannot generate text"),
    "no head": (lambda _: generate(made("decoder", head=None), FORMS["decoder"], ["a"]), "model.head=null"),
    "no head to fill with": (lambda _: fill(made("encoder", head=None), FORMS["decoder"], ["a"]), "model.head=null"),
    "beams of an encoder": (
        lambda m: search_texts(m["encoder"], FORMS["decoder"], ["a"], beams=2),
        "cannot generate text",
    ),
    "empty": (lambda m: generate(m["decoder"], Prompting(TOKENIZER), [""]), "the prompt must not be empty"),
    "empty stop": (lambda m: generate(m["decoder"], FORMS["decoder"], ["a"], stops=[""]), "empty strings"),
    "samples of greedy": (lambda m: generate(m["decoder"], FORMS["decoder"], ["a"], samples=2), "samples: .* got 2"),
    "decoder that fills": (lambda m: fill(m["decoder"], FORMS["decoder"], ["a"]), "only an encoder .* decoder"),
    "diverged": (lambda _: generate(diverged(), FORMS["decoder"], ["a"]), "did its training diverge"),
    "diverged beams": (
        lambda _: search_texts(diverged(), FORMS["decoder"], ["a"], beams=2),
        "did its training diverge",
    ),
    "no mask": (lambda m: fill(m["encoder"], Prompting(TOKENIZER, mask=MASK), ["abc"]), r"\(<mask>\): got 'abc'"),
    "no mask token": (lambda m: fill(m["encoder"], Prompting(TOKENIZER), ["abc"]), "no mask token"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused(name: str, models: dict[str, Variant]) -> None:
    ask, message = REFUSED[name]
    with pytest.raises(Refused, match=message):
        ask(models)


def test_a_token_without_a_vector_is_refused() -> None:
    small = build({"variant": "decoder", **SMALL}, 50, seed=0).eval()
    with pytest.raises(Refused, match="the model has vectors for 50 tokens"):
        generate(small, FORMS["decoder"], ["zebra"])


def test_masks_are_filled_by_their_probabilities(models: dict[str, Variant]) -> None:
    model, prompting = models["encoder"], Prompting(TOKENIZER, before=(BOS,), after=(EOS,), mask=MASK)
    filled = fill(model, prompting, ["a<mask>b<mask>", "<mask>"], candidates=4)
    ids = [BOS, *TOKENIZER.encode("a").ids, MASK, *TOKENIZER.encode("b").ids, MASK, EOS]
    with torch.no_grad():
        probabilities = model(torch.tensor([ids]))[0].softmax(dim=-1)
    for place, mask in zip((2, 4), filled[0].masks, strict=True):
        values = [float(value) for value in probabilities[place]]
        order = sorted(range(SIZE), key=lambda token: -values[token])[:4]
        assert [each.token for each in mask] == [TOKENIZER.id_to_token(token) for token in order]
        assert [each.probability for each in mask] == pytest.approx([values[token] for token in order])
        ids[place] = order[0]
    assert filled[0].text == prompting.decode(ids)
    assert len(filled[1].masks) == 1
