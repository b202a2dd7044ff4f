from __future__ import annotations

from functools import partial
from typing import Any

from transformers import GemmaConfig, GemmaForCausalLM, GemmaModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 8,
}


def case(name: str, model: type[Any] = GemmaForCausalLM, **options: Any) -> Case:
    return Case(name, partial(GemmaConfig, **{**TINY, **options}), model)


CASES = [
    case("one-key-wide-heads", num_key_value_heads=1, head_dim=16),
    case("gelu-means-tanh", hidden_act="gelu"),
    case("untied-exact-gelu", tie_word_embeddings=False, hidden_act="gelu_python"),
    case("biases-every-head-its-own-keys", attention_bias=True, num_key_value_heads=4),
    case(
        "coarse-norm-linear-scaling",
        rms_norm_eps=1e-2,
        rope_parameters={"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0},
    ),
    case("headless", GemmaModel),
]
