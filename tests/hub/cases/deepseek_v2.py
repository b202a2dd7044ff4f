from __future__ import annotations

from functools import partial
from typing import Any

from transformers import DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV2Model

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "intermediate_size": 40,
    "moe_intermediate_size": 16,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "kv_lora_rank": 12,
    "q_lora_rank": None,
    "first_k_dense_replace": 1,
}


def case(name: str, model: type[Any] = DeepseekV2ForCausalLM, **options: Any) -> Case:
    return Case(name, partial(DeepseekV2Config, **{**TINY, **options}), model)


YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 32,
    "beta_slow": 1,
}


CASES = [
    case("lite", rope_parameters={**YARN, "mscale": 0.707, "mscale_all_dim": 0.707}),
    case("narrow-queries-no-scaling", q_lora_rank=10),
    case("groups", topk_method="group_limited_greedy", n_group=4, topk_group=2, routed_scaling_factor=4.0),
    case("mscale-of-its-own", rope_parameters={**YARN, "mscale": 1.2, "mscale_all_dim": 0.6}, first_k_dense_replace=0),
    case("yarn-without-mscale", rope_parameters=YARN, n_shared_experts=1, v_head_dim=16),
    case("headless-tied", DeepseekV2Model, num_experts_per_tok=1, first_k_dense_replace=2),
]
