from __future__ import annotations

from functools import partial
from typing import Any

from transformers import Gemma3ForCausalLM, Gemma3TextConfig, Gemma3TextModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 8,
    "sliding_window": 5,
    "query_pre_attn_scalar": 8,
}


def case(name: str, model: type[Any] = Gemma3ForCausalLM, **options: Any) -> Case:
    return Case(name, partial(Gemma3TextConfig, **{**TINY, **options}), model)


CASES = [
    case("one-in-six"),
    case("one-in-two", layer_types=["sliding_attention", "full_attention"] * 3, sliding_window=3),
    case(
        "scaled-where-all-is-seen",
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 30.0},
            "full_attention": {"rope_type": "linear", "rope_theta": 700.0, "factor": 4.0},
        },
    ),
    case(
        "scaled-in-windows",
        rope_parameters={
            "sliding_attention": {"rope_type": "linear", "rope_theta": 30.0, "factor": 2.0},
            "full_attention": {"rope_type": "default", "rope_theta": 700.0},
        },
    ),
    case("all-see-all", layer_types=["full_attention"] * 6, query_pre_attn_scalar=3),
    case("all-local-one-key", layer_types=["sliding_attention"] * 6, num_key_value_heads=1, head_dim=16),
    case(
        "capped-biases-untied",
        final_logit_softcapping=2.0,
        attention_bias=True,
        tie_word_embeddings=False,
        rms_norm_eps=1e-2,
    ),
    case("headless", Gemma3TextModel),
]
