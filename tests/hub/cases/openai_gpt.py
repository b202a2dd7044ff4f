from __future__ import annotations

from functools import partial
from typing import Any

from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel, OpenAIGPTModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {"vocab_size": 61, "n_positions": 48, "n_embd": 32, "n_layer": 2, "n_head": 4}


def case(name: str, model: type[Any] = OpenAIGPTLMHeadModel, **options: Any) -> Case:
    return Case(name, partial(OpenAIGPTConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("one-head", n_head=1, n_layer=3),
    case("relu-untied", afn="relu", tie_word_embeddings=False),
    case("silu-wide", afn="silu", n_embd=48, n_head=8),
    case("coarse-norm", layer_norm_epsilon=1e-2),
    case("headless", OpenAIGPTModel),
]
