from __future__ import annotations

from functools import partial
from typing import Any

from transformers import BloomConfig, BloomForCausalLM, BloomModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {"vocab_size": 61, "hidden_size": 32, "n_layer": 2, "n_head": 4}


def case(name: str, model: type[Any] = BloomForCausalLM, **options: Any) -> Case:
    return Case(name, partial(BloomConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("six-heads", hidden_size=48, n_head=6),
    case("untied-three-layers", tie_word_embeddings=False, n_layer=3),
    case("one-head-coarse-norm", n_head=1, layer_norm_epsilon=1e-2),
    case("headless", BloomModel),
]
