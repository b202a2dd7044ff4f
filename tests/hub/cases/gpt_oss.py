from __future__ import annotations

from functools import partial
from typing import Any

from transformers import GptOssConfig, GptOssForCausalLM, GptOssModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "intermediate_size": 24,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "head_dim": 16,
    "sliding_window": 4,
}


def case(name: str, model: type[Any] = GptOssForCausalLM, **options: Any) -> Case:
    return Case(name, partial(GptOssConfig, **{**TINY, **options}), model)


YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 32,
    "beta_slow": 1,
    "truncate": False,
}


CASES = [
    case("as-published", rope_parameters=YARN),
    case("every-layer-slides", layer_types=["sliding_attention"] * 3, rope_parameters=YARN),
    case("no-layer-slides", layer_types=["full_attention"] * 3, attention_bias=False),
    case("tight-clamp", swiglu_limit=0.5, num_local_experts=5, num_experts_per_tok=3),
    case("tied-one-key", tie_word_embeddings=True, num_key_value_heads=1, num_experts_per_tok=4, head_dim=8),
    case("headless", GptOssModel, rope_parameters={"rope_type": "default", "rope_theta": 100.0}),
]
