from __future__ import annotations

from functools import partial
from typing import Any

from transformers import MistralConfig, MistralForCausalLM, MistralModel

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


def case(name: str, model: type[Any] = MistralForCausalLM, **options: Any) -> Case:
    return Case(name, partial(MistralConfig, **{**TINY, **options}), model)


CASES = [
    case("window", sliding_window=5),
    case("narrowest-window-one-key", sliding_window=2, num_key_value_heads=1),
    case("no-window-tied", sliding_window=None, tie_word_embeddings=True),
    case("wide-heads", head_dim=16, sliding_window=7, num_key_value_heads=4, rms_norm_eps=1e-3),
    case(
        "wider-window-than-rows-yarn",
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 100.0,
            "factor": 4.0,
            "original_max_position_embeddings": 16,
        },
        hidden_act="relu",
    ),
    case("headless", MistralModel),
]
