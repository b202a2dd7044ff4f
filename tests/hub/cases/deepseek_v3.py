from __future__ import annotations

from functools import partial
from typing import Any

from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, DeepseekV3Model

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
    "q_lora_rank": 10,
    "first_k_dense_replace": 1,
    "n_group": 4,
    "topk_group": 2,
}


def case(name: str, model: type[Any] = DeepseekV3ForCausalLM, **options: Any) -> Case:
    return Case(name, partial(DeepseekV3Config, **{**TINY, **options}), model)


YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 32,
    "beta_slow": 1,
}


CASES = [
    case("as-published", rope_parameters={**YARN, "mscale": 1.0, "mscale_all_dim": 1.0}),
    case("whole-queries-no-scaling", q_lora_rank=None),
    case("halves-one-group", rope_interleave=False, n_group=1, topk_group=1, num_experts_per_tok=4),
    case("weights-as-they-are", norm_topk_prob=False, routed_scaling_factor=1.0, n_shared_experts=2),
    case("all-mixtures-scale-only", first_k_dense_replace=0, rope_parameters={**YARN, "mscale_all_dim": 0.8}),
    case("tied-wide-values", tie_word_embeddings=True, v_head_dim=16, qk_nope_head_dim=4, n_group=2, topk_group=1),
    case("headless", DeepseekV3Model),
]
