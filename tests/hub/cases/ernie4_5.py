from __future__ import annotations

from functools import partial
from typing import Any

from transformers import Ernie4_5Config, Ernie4_5ForCausalLM, Ernie4_5Model

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


def case(name: str, model: type[Any] = Ernie4_5ForCausalLM, **options: Any) -> Case:
    return Case(name, partial(Ernie4_5Config, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("biases-untied", use_bias=True, tie_word_embeddings=False),
    case("wide-heads-one-key", head_dim=16, num_key_value_heads=1),
    case("gelu-other-base", hidden_act="gelu", rope_parameters={"rope_type": "default", "rope_theta": 50.0}),
    case(
        "yarn-coarse-norm",
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 100.0,
            "factor": 4.0,
            "original_max_position_embeddings": 16,
        },
        rms_norm_eps=1e-2,
    ),
    case("headless", Ernie4_5Model),
]
