"""Decoding with caches on a GPU: token for token what is written without, and what the CPU writes."""

from __future__ import annotations

import pytest
import torch

from tests.generation.test_cached import DECODING, pairs, prompts
from tests.gpu.needs import GPU
from tests.gpu.test_computation import assert_close, on_gpu
from zoo.generation.reader import PromptReader
from zoo.model.build import build
from zoo.testing.subject import TOKENS, perturb

pytestmark = GPU


@pytest.mark.parametrize("attention", DECODING)
def test_every_attention_with_every_position(attention: str) -> None:
    for config in pairs(attention):
        model = build(config, TOKENS, seed=0).eval().double()
        perturb(model)
        given = prompts(model)
        uncached = PromptReader(model, given, 6, cached=False)
        here = [uncached.logits]
        tokens = torch.randint(6, TOKENS, (5, len(given.tokens)), generator=torch.Generator().manual_seed(0))
        for token in tokens:
            uncached.add(token)
            here.append(uncached.logits)
        cached = PromptReader(model.cuda(), on_gpu(given), 6)
        there = [cached.logits]
        for token in tokens.cuda():
            cached.add(token)
            there.append(cached.logits)
        assert_close(torch.stack(there), torch.stack(here), str(config["position"]))
