from __future__ import annotations

from functools import partial
from typing import Any

from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

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


def case(name: str, model: type[Any] = Qwen3ForCausalLM, **options: Any) -> Case:
    return Case(name, partial(Qwen3Config, **{**TINY, **options}), model)


CASES = [
    case("as-published-tied", tie_word_embeddings=True),
    case("wide-heads-biases", head_dim=16, attention_bias=True),
    case("coarse-norm-one-key", num_key_value_heads=1, rms_norm_eps=1e-2),
    case("window-in-later-layers", use_sliding_window=True, sliding_window=4, max_window_layers=1, num_hidden_layers=3),
    case("every-head-its-own-keys-gelu", num_key_value_heads=4, hidden_act="gelu"),
    case(
        "yarn",
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 100.0,
            "factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    ),
    case("headless", Qwen3Model),
]
