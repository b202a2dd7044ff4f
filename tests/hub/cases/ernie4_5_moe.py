from __future__ import annotations

from functools import partial
from typing import Any

from transformers import Ernie4_5_MoeConfig, Ernie4_5_MoeForCausalLM, Ernie4_5_MoeModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "intermediate_size": 40,
    "moe_intermediate_size": 16,
    "moe_num_experts": 6,
    "moe_k": 3,
}


def case(name: str, model: type[Any] = Ernie4_5_MoeForCausalLM, **options: Any) -> Case:
    return Case(name, partial(Ernie4_5_MoeConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("none-shared-untied", moe_num_shared_experts=0, tie_word_embeddings=False),
    case(
        "every-second-between",
        num_hidden_layers=7,
        moe_layer_start_index=2,
        moe_layer_end_index=5,
        moe_layer_interval=2,
    ),
    case("dense-at-both-ends", num_hidden_layers=4, moe_layer_start_index=1, moe_layer_end_index=2, moe_k=2),
    case("wide-heads-one-shared", head_dim=16, num_key_value_heads=1, moe_num_shared_experts=1),
    case("headless", Ernie4_5_MoeModel, rope_parameters={"rope_type": "default", "rope_theta": 200.0}),
]
