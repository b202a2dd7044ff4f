from __future__ import annotations

from functools import partial
from typing import Any

from transformers import MixtralConfig, MixtralForCausalLM, MixtralModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "intermediate_size": 24,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}


def case(name: str, model: type[Any] = MixtralForCausalLM, **options: Any) -> Case:
    return Case(name, partial(MixtralConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("window", sliding_window=4),
    case("wide-heads-one-key", head_dim=16, num_key_value_heads=1, rms_norm_eps=1e-3),
    case("three-of-seven", num_local_experts=7, num_experts_per_tok=3, hidden_act="gelu"),
    case("tied-other-base", tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 500.0}),
    case("headless", MixtralModel),
]
