"""Beam search against trying everything, against greedy, and against transformers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.hub.oracle import Case, made, padded, rows
from zoo.checks import Refused
from zoo.generation import Beam, search
from zoo.generation.greedy import pick_likeliest
from zoo.generation.loop import generate_steps
from zoo.hub import load_network
from zoo.model.build import build
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant
from zoo.testing.subject import SMALL, perturb

EOS, VOCABULARY, LIMIT = 2, 4, 4


def tiny(variant: str, vocabulary: int = VOCABULARY) -> tuple[Variant, Inputs]:
    """A model that is sure of little, and two prompts."""
    model = build({"variant": variant, **SMALL}, vocabulary, seed=0).eval().double()
    perturb(model, seed=3, scale=0.2)
    tokens = torch.tensor([[3, 0, 1], [0, 1, 3]])
    start = torch.zeros(2, 1, dtype=torch.long)
    return model, Inputs(tokens) if variant == "decoder" else Inputs(start, source=tokens)


def every_text() -> Iterator[tuple[int, ...]]:
    """All texts of up to LIMIT tokens that end with EOS or at the limit."""
    for length in range(1, LIMIT + 1):
        for tokens in itertools.product(range(VOCABULARY), repeat=length):
            if EOS not in tokens[:-1] and (tokens[-1] == EOS or length == LIMIT):
                yield tokens


def likelihood(model: Variant, inputs: Inputs, row: int, text: tuple[int, ...]) -> float:
    """The log-probability of a text, read as a whole."""
    prompt = inputs.tokens[row : row + 1]
    read = torch.cat([prompt, torch.tensor([text[:-1]], dtype=torch.long)], dim=1)
    source = None if inputs.source is None else inputs.source[row : row + 1]
    with torch.no_grad():
        logits = model.logits(model.compute_hidden(Inputs(read, source=source)))[0, prompt.shape[1] - 1 :]
    return float(logits.log_softmax(-1)[range(len(text)), list(text)].sum())


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("variant", ["decoder", "encoder_decoder"])
def test_with_beams_for_everything_it_finds_the_best_of_all_texts(variant: str, penalty: float) -> None:
    """Wide enough that no text is ever dropped, and so many wanted that none is left out."""
    model, inputs = tiny(variant)
    texts = list(every_text())
    found = search(model, inputs, [EOS], LIMIT, beams=len(texts), length_penalty=penalty)
    for row in range(2):
        scored = [Beam(text, likelihood(model, inputs, row, text) / len(text) ** penalty) for text in texts]
        best = sorted(scored, key=lambda each: -each.score)
        assert [beam.tokens for beam in found[row]] == [beam.tokens for beam in best]
        assert [beam.score for beam in found[row]] == pytest.approx([beam.score for beam in best], abs=1e-4)
    assert len({len(beams[0].tokens) for beams in found}) >= 1


@pytest.mark.parametrize("variant", ["decoder", "encoder_decoder"])
def test_one_beam_is_greedy_and_caches_change_nothing(variant: str) -> None:
    model, inputs = tiny(variant)
    tokens = torch.stack(list(generate_steps(model, inputs, 12, pick_likeliest)), dim=1).tolist()
    greedy = [tuple(row[: row.index(EOS) + 1] if EOS in row else row) for row in tokens]
    assert [beams[0].tokens for beams in search(model, inputs, [EOS], 12, beams=1)] == greedy
    for beams in (2, 3):
        found = [search(model, inputs, [EOS], 12, beams=beams, cached=cached) for cached in (True, False)]
        assert [[each.tokens for each in row] for row in found[0]] == [
            [each.tokens for each in row] for row in found[1]
        ]


def test_more_beams_find_what_greedy_misses_and_the_penalty_favours_length() -> None:
    model, inputs = tiny("decoder", 5)
    greedy, wide = (search(model, inputs, [EOS], 8, beams=beams, length_penalty=0.0) for beams in (1, 12))
    assert all(b[0].score >= a[0].score - 1e-6 for a, b in zip(greedy, wide, strict=True))
    assert any(b[0].score > a[0].score + 1e-3 for a, b in zip(greedy, wide, strict=True))
    short, long = (search(model, inputs, [EOS], 8, beams=12, length_penalty=penalty) for penalty in (-2.0, 3.0))
    assert sum(len(row[0].tokens) for row in short) < sum(len(row[0].tokens) for row in long)


def test_numbers_that_make_no_sense_are_refused() -> None:
    model, inputs = tiny("decoder")
    with pytest.raises(Refused, match="beams=0"):
        search(model, inputs, [EOS], 4, beams=0)
    with pytest.raises(Refused, match="length_penalty=nan"):
        search(model, inputs, [EOS], 4, beams=2, length_penalty=float("nan"))


# ---------------------------------------------------------------------------------------------------- transformers

SIZES: dict[str, tuple[Callable[[], Any], type[Any]]] = {
    "gpt2": (lambda: GPT2Config(vocab_size=40, n_positions=64, n_embd=16, n_layer=2, n_head=2), GPT2LMHeadModel),
    "llama": (
        lambda: LlamaConfig(
            vocab_size=40,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        ),
        LlamaForCausalLM,
    ),
    "t5": (
        lambda: T5Config(
            vocab_size=40, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, decoder_start_token_id=0
        ),
        T5ForConditionalGeneration,
    ),
    "bart": (
        lambda: BartConfig(
            vocab_size=40,
            d_model=16,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=24,
            decoder_ffn_dim=24,
            max_position_embeddings=64,
            forced_eos_token_id=None,
        ),
        BartForConditionalGeneration,
    ),
}


@pytest.mark.parametrize("family", [name for name in SIZES if find_spec(f"zoo.hub.converters.{name}")])
def test_beams_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    """Rows of different lengths, one and several ends, penalties of both signs."""
    case = Case(family, *SIZES[family])
    theirs = made(case)
    theirs.save_pretrained(tmp_path)  # type: ignore[operator]
    ours = load_network(tmp_path)
    parts = rows(theirs, (9, 4, 6), 1)
    lengths = set()
    many = [*range(2, 12)]
    for beams, penalty, ends in [
        (2, 1.0, [2]),
        (4, 1.0, many),
        (3, 0.0, many[:5]),
        (4, -1.0, many[5:]),
        (5, 2.0, many),
    ]:
        config = GenerationConfig(
            do_sample=False,
            num_beams=beams,
            num_return_sequences=beams,
            length_penalty=penalty,
            max_new_tokens=14,
            pad_token_id=1,
            eos_token_id=ends,
            decoder_start_token_id=0,
        )
        theirs.generation_config = config  # type: ignore[assignment]
        tokens, mask = padded(parts, left=ours.name == "decoder")  # their BART counts padding on the left
        inputs = Inputs(tokens, mask - 1)
        written = tokens.shape[1]
        if ours.name == "encoder_decoder":
            start = torch.zeros(len(parts), 1, dtype=torch.long)
            inputs, written = Inputs(start, source=tokens, source_segment=mask - 1), 1
        expected = theirs.generate(tokens, attention_mask=mask, generation_config=config)[:, written:]  # type: ignore[operator]
        found = search(ours, inputs, ends, 14, beams=beams, length_penalty=penalty)
        texts = [beam.tokens for row in found for beam in row]
        lengths |= {len(text) for text in texts}
        assert [[*text, *[1] * (expected.shape[1] - len(text))] for text in texts] == expected.tolist()
    assert len(lengths) > 2
