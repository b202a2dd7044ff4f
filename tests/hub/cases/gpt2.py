from __future__ import annotations

from functools import partial
from typing import Any

from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model

from tests.hub.oracle import Case

TINY: dict[str, Any] = {"vocab_size": 61, "n_positions": 48, "n_embd": 32, "n_layer": 2, "n_head": 4}


def case(name: str, model: type[Any] = GPT2LMHeadModel, **options: Any) -> Case:
    return Case(name, partial(GPT2Config, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("one-head", n_head=1, n_layer=3),
    case("narrow-hidden", n_inner=40),
    case("relu-untied", activation_function="relu", tie_word_embeddings=False),
    case("coarse-norm", layer_norm_epsilon=1e-2),
    case("headless", GPT2Model),
]
