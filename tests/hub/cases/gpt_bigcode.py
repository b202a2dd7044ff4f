from __future__ import annotations

from functools import partial
from typing import Any

from transformers import GPTBigCodeConfig, GPTBigCodeForCausalLM, GPTBigCodeModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {"vocab_size": 61, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}


def case(name: str, model: type[Any] = GPTBigCodeForCausalLM, **options: Any) -> Case:
    return Case(name, partial(GPTBigCodeConfig, **{**TINY, **options}), model)


CASES = [
    case("one-key-for-all"),
    case("a-key-for-each", multi_query=False),
    case("untied-relu-wide-hidden", tie_word_embeddings=False, activation_function="relu", n_inner=72),
    case("two-heads-three-layers-coarse-norm", n_head=2, n_layer=3, layer_norm_epsilon=1e-2),
    case("headless", GPTBigCodeModel),
]
