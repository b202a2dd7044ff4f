"""Cached equals uncached, token for token: every attention with every position, every preset that writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.generation.prompting import pad_left
from zoo.generation.reader import PromptReader
from zoo.model.build import build, check
from zoo.model.inputs import Inputs
from zoo.model.schema import SLOTS
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.testing.subject import SMALL, TOKENS, list_places, perturb

LENGTHS = (3, 7, 1, 5)
ROOM = 9
CPU = torch.device("cpu")


def read(length: int, seed: int) -> list[int]:
    return torch.randint(6, TOKENS, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def prompts(model: Variant, *, prefix: bool = False) -> Inputs:
    """Rows of different lengths, as source where there is one."""
    tokens, segment = pad_left([read(length, length) for length in LENGTHS], CPU)
    if model.name == "encoder_decoder":
        return Inputs(torch.full((len(LENGTHS), 1), 5), source=tokens, source_segment=segment)
    return Inputs(tokens, segment, prefix=torch.full((len(LENGTHS),), tokens.shape[1]) if prefix else None)


def assert_cached_is_uncached(model: Variant, inputs: Inputs, room: int = ROOM) -> None:
    """The likeliest tokens of both; where they bore, others are read, so that what is remembered differs."""
    model = model.eval().double()
    perturb(model)
    cached, uncached = (PromptReader(model, inputs, room, cached=each) for each in (True, False))
    draw = torch.Generator().manual_seed(0)
    for number in range(room):
        torch.testing.assert_close(cached.logits, uncached.logits, rtol=1e-6, atol=1e-6)
        likeliest = uncached.logits.argmax(dim=-1)
        assert cached.logits.argmax(dim=-1).tolist() == likeliest.tolist()
        token = likeliest if number % 2 else torch.randint(6, TOKENS, likeliest.shape, generator=draw)
        for reading in (cached, uncached):
            reading.add(token)
        if number == room // 2:  # as beams do
            for reading in (cached, uncached):
                reading.select(torch.tensor([2, 0, 0, 1]))
    assert len({tuple(row) for row in cached.logits.tolist()}) > 2


def pairs(attention: str) -> Iterator[dict[str, Any]]:
    """A decoder with this attention and each position that it goes with."""
    for position in get_index().get_names("position"):
        config = {"variant": "decoder", **SMALL, "attention": {"name": attention}, "position": {"name": position}}
        if not check(config)[2]:
            yield config


DECODING = [name for name in get_index().get_names("attention") if any(pairs(name))]
PARTS = [
    (kind, name, place)
    for kind in SLOTS
    for name in get_index().get_names(kind)
    for place in list_places(kind, {"name": name})
    if place != "encoder" and (kind, place) != ("attention", "decoder")
]
PRESETS = [name for name in list_choices("model") if "/" not in name and name != "hub"]


@pytest.mark.parametrize("attention", DECODING)
def test_every_attention_with_every_position(attention: str) -> None:
    for config in pairs(attention):
        model = build(config, TOKENS, seed=0)
        assert_cached_is_uncached(model, prompts(model))


@pytest.mark.parametrize(("kind", "name", "place"), PARTS)
def test_every_component_in_every_place(kind: str, name: str, place: str) -> None:
    variant, _, stack = place.partition(".")
    part = {kind: {"name": name}}
    cross = {"cross": SMALL["attention"]} if stack and kind == "attention" else {}
    model = build({"variant": variant, **SMALL, **({stack: part} if stack else part), **cross}, TOKENS, seed=0)
    assert_cached_is_uncached(model, prompts(model), room=5)


@pytest.mark.parametrize(
    "attention", [name for name in DECODING if "prefix" in get_index().get("attention", name).load().supports]
)
def test_where_the_prompt_is_seen_both_ways(attention: str) -> None:
    model = build({"variant": "decoder", **SMALL, "attention": {"name": attention}}, TOKENS, seed=0)
    assert_cached_is_uncached(model, prompts(model, prefix=True))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_that_writes(preset: str) -> None:
    config = compose_run([f"model={preset}"])["model"]
    if config["variant"] == "encoder":
        pytest.skip("an encoder writes nothing")
    model = build({**config, "vocabulary": None}, TOKENS, seed=0)
    assert_cached_is_uncached(model, prompts(model), room=4)


def test_no_list_is_empty() -> None:
    assert len(DECODING) > 12
    assert len(PARTS) > 40
    assert {"gpt", "llama", "transformer"} <= set(PRESETS)


def test_a_memory_of_wrong_rows_is_seen() -> None:
    """The comparison fails where it should."""
    model = build({"variant": "decoder", **SMALL}, TOKENS, seed=0).eval().double()
    perturb(model)
    wrong, right = (PromptReader(model, prompts(model), ROOM, cached=each) for each in (True, False))
    wrong.select(torch.tensor([1, 0, 2, 3]))
    for reading in (wrong, right):
        reading.add(torch.tensor([7, 8, 9, 10]))
    assert not torch.allclose(wrong.logits[:2], right.logits[:2])
    torch.testing.assert_close(wrong.logits[2:], right.logits[2:])
