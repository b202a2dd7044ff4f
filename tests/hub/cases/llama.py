from __future__ import annotations

from functools import partial
from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
}


def case(name: str, model: type[Any] = LlamaForCausalLM, **options: Any) -> Case:
    return Case(name, partial(LlamaConfig, **{**TINY, **options}), model)


CASES = [
    case("every-head-its-own-keys"),
    case("grouped-tied", num_key_value_heads=2, tie_word_embeddings=True),
    case("wide-heads-one-key", num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-3),
    case("biases", attention_bias=True, mlp_bias=True),
    case("gelu-other-base", hidden_act="gelu", rope_parameters={"rope_type": "default", "rope_theta": 500.0}),
    case(
        "llama3-scaling",
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 50.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 3.0,
            "original_max_position_embeddings": 16,
        },
    ),
    case(
        "llama3-scaling-grouped-tied-older-names",
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_theta=50.0,
        rope_scaling={
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8,
        },
    ),
    case("linear-scaling", rope_parameters={"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0}),
    case(
        "yarn-scaling",
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 100.0,
            "factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    ),
    case("headless", LlamaModel),
]
