from __future__ import annotations

from functools import partial
from typing import Any

from transformers import GPTJConfig, GPTJForCausalLM, GPTJModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {"vocab_size": 61, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "rotary_dim": 4}


def case(name: str, model: type[Any] = GPTJForCausalLM, **options: Any) -> Case:
    return Case(name, partial(GPTJConfig, **{**TINY, **options}), model)


CASES = [
    case("a-quarter-turns"),
    case("all-turns", rotary_dim=16),
    case("six-of-eight-turn", n_head=4, rotary_dim=6),
    case("tied-relu-wide-hidden-coarse-norm", tie_word_embeddings=True, activation_function="relu", n_inner=72),
    case("headless", GPTJModel, layer_norm_epsilon=1e-2),
]
