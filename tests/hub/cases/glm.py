from __future__ import annotations

from functools import partial
from typing import Any

from transformers import GlmConfig, GlmForCausalLM, GlmModel

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


def cases(config: type[Any], model: type[Any], body: type[Any]) -> list[Case]:
    def case(name: str, **options: Any) -> Case:
        return Case(name, partial(config, **{**TINY, **options}), model)

    return [
        case("half-turns"),
        case("no-biases-tied", attention_bias=False, tie_word_embeddings=True, num_key_value_heads=1),
        case("all-turn", rope_parameters={"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0}),
        case("a-quarter-turns-wide-heads", head_dim=16, partial_rotary_factor=0.25),
        case(
            "linear-scaling-coarse-norm",
            rms_norm_eps=1e-2,
            rope_parameters={"rope_type": "linear", "rope_theta": 100.0, "factor": 3.0, "partial_rotary_factor": 0.5},
        ),
        Case("headless", partial(config, **TINY), body),
    ]


CASES = cases(GlmConfig, GlmForCausalLM, GlmModel)
