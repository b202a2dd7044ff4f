"""Greedy decoding with caches: 32 tokens of prompt, 224 new ones, in rows of 1 and 8."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from experiments.speed.clock import Settings
from experiments.speed.outcome import Row
from experiments.speed.shapes import SMALL, TINY
from experiments.speed.sides import ZOO, Sides, build_peers
from experiments.speed.work import build_model, perturb
from zoo.generation.greedy import pick_likeliest
from zoo.generation.loop import generate_steps
from zoo.model.inputs import Inputs

PROMPT, NEW = 32, 224
Generate = Callable[[Tensor], Tensor]
WITHOUT_CACHE = {"plain loop": "has no cache", "torch.nn": "has no cache"}


def measure(settings: Settings) -> Iterator[Row]:
    """Yields rows of both families; seconds are those of a token in all rows.

    The weights of all sides are equal where they can be, and then so must the tokens be.
    """
    few = replace(settings, rounds=max(2, settings.rounds // 2))
    shape = TINY if settings.is_quick else SMALL
    for family in ("gpt", "llama"):
        model = build_model(family, shape).eval()
        perturb(model)
        models, notes = build_peers(family, shape)
        for batch in (1,) if settings.is_quick else (1, 8):
            prompt = torch.randint(shape.vocabulary, (batch, PROMPT), generator=torch.Generator().manual_seed(2))
            makers: Mapping[str, Generate] = {ZOO: partial(_decode, model), **_make_peers(models, batch)}
            sides = _check(
                makers, prompt, {**notes, **{name: WITHOUT_CACHE[name] for name in WITHOUT_CACHE if name in models}}
            )
            for row in sides.time(f"{shape.name} {family}, batch {batch}", few):
                yield _convert(row, batch * NEW)


def _convert(row: Row, tokens: int) -> Row:
    """Converts seconds to those of a token, and ratios of times to ratios of speeds."""
    speeds = [1 / each for each in reversed(row.ratios.get("of fastest peer", ()))]
    ratios = {"speed of fastest peer": speeds} if speeds else {}
    return replace(row, seconds=[each / tokens for each in row.seconds], ratios=ratios)


def _check(makers: Mapping[str, Generate], prompt: Tensor, notes: Mapping[str, str]) -> Sides:
    """Keeps the sides that generate the tokens of zoo, or as many where their weights differ."""
    sides, expected = Sides(notes=dict(notes)), makers[ZOO](prompt)
    for name, generate in makers.items():
        tokens = generate(prompt)
        if tokens.shape != expected.shape:
            sides.notes[name] = f"generates {[*tokens.shape]} tokens, zoo {[*expected.shape]}"
        elif name not in notes and not torch.equal(tokens, expected):
            sides.notes[name] = (
                f"generates other tokens than zoo: {int((tokens != expected).sum())} of {tokens.numel()}"
            )
        else:
            sides.steps[name] = partial(generate, prompt)
            if name != ZOO:
                sides.peers.append(name)
    return sides


def _decode(model: Any, prompt: Tensor) -> Tensor:
    return torch.stack([*generate_steps(model, Inputs(prompt), NEW, pick_likeliest)], dim=1)


def _make_peers(models: Mapping[str, nn.Module], batch: int) -> dict[str, Generate]:
    made: dict[str, Generate] = {}
    for name, model in models.items():
        model.eval()
        if name == "transformers":
            made[name] = partial(_decode_transformers, model.model)
        elif name == "x-transformers":
            made[name] = _make_x_transformers(model)
        elif name == "LitGPT":
            made[name] = _make_litgpt(model, batch)
    return made


def _decode_transformers(model: Any, prompt: Tensor) -> Tensor:
    kept = {"attention_mask": torch.ones_like(prompt), "do_sample": False, "use_cache": True, "pad_token_id": 0}
    out: Tensor = model.generate(prompt, max_new_tokens=NEW, **kept)
    return out[:, PROMPT:]


def _make_x_transformers(model: nn.Module) -> Generate:
    package: Any = importlib.import_module("x_transformers")
    wrapped = package.AutoregressiveWrapper(model)
    return lambda prompt: torch.as_tensor(wrapped.generate(prompt, NEW, temperature=0.0, cache_kv=True))


def _make_litgpt(model: Any, batch: int) -> Generate:
    base: Any = importlib.import_module("litgpt.generate.base")
    model.max_seq_length = PROMPT + NEW
    model.set_kv_cache(batch_size=batch)

    def decode(prompt: Tensor) -> Tensor:
        if batch == 1:
            written = base.generate(model, prompt[0], PROMPT + NEW, temperature=0.0, include_prompt=False)
            return torch.as_tensor(written)[None]
        given = {"sample_args": {"temperature": 0.0}, "include_prompt": False}
        steps = base.batched_generate_fn(model, prompt, PROMPT + NEW, **given)
        return torch.stack([torch.cat(tokens) for tokens in steps], dim=1)

    return decode
