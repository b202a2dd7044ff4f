"""torch.compile gives the same: in as few small models as hold every component once, for it is slow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from zoo.build import build, check
from zoo.interfaces import Inputs
from zoo.registry import index
from zoo.schema import SLOTS

Config = dict[str, Any]


def designs(tiny: Callable[..., Config]) -> Iterator[Config]:
    """One-layer decoders that together hold every component that a decoder can have."""
    left = [(slot, name) for slot in SLOTS for name in index().names(slot)]
    while left:
        config, chosen = tiny(layers=1), {}
        for slot, name in left:
            if slot not in chosen and not check({**config, slot: {"name": name}})[2]:
                config[slot] = chosen[slot] = {"name": name}
        if not chosen:
            return
        left = [(slot, name) for slot, name in left if chosen.get(slot, {}).get("name") != name]
        yield config


@torch.no_grad()
def test_compiled_is_the_same(tiny: Callable[..., Config], lively: Callable[..., None]) -> None:
    tokens = torch.tensor([[7, 9, 12, 7, 30], [8, 8, 6, 31, 7]])
    inputs = Inputs(tokens, torch.tensor([[0, 0, 0, 1, 1], [-1, 0, 0, 0, 0]]))
    held = set()
    for config in designs(tiny):
        model = build(config, 32, seed=0).eval()
        lively(model)
        torch._dynamo.reset()
        with torch._dynamo.config.patch(suppress_errors=False):
            compiled = torch.compile(model.hidden, backend="eager")(inputs)
        torch.testing.assert_close(compiled, model.hidden(inputs), msg=lambda line, config=config: f"{config}: {line}")
        held |= {(slot, config[slot]["name"]) for slot in SLOTS}
    assert held == {(slot, name) for slot in SLOTS for name in index().names(slot) if not alone(tiny, slot, name)}


def alone(tiny: Callable[..., Config], slot: str, name: str) -> list[str]:
    """Why a component is refused in the small base model."""
    return check(tiny(layers=1, **{slot: {"name": name}}))[2]
