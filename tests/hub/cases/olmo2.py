from __future__ import annotations

from functools import partial
from typing import Any

from transformers import Olmo2Config, Olmo2ForCausalLM, Olmo2Model

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
}


def case(name: str, model: type[Any] = Olmo2ForCausalLM, **options: Any) -> Case:
    return Case(name, partial(Olmo2Config, **{**TINY, **options}), model)


CASES = [
    case("grouped"),
    case("every-head-its-own-keys-tied", num_key_value_heads=4, tie_word_embeddings=True),
    case("biases", attention_bias=True, num_key_value_heads=1),
    case("coarse-norm-other-base", rms_norm_eps=1e-2, rope_parameters={"rope_type": "default", "rope_theta": 500.0}),
    case(
        "linear-scaling-gelu",
        hidden_act="gelu",
        rope_parameters={"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0},
    ),
    case("headless", Olmo2Model),
]
