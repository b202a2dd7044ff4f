from __future__ import annotations

from functools import partial
from typing import Any

from transformers import Glm4MoeConfig, Glm4MoeForCausalLM, Glm4MoeModel

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
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "head_dim": 16,
    "attention_bias": True,
}


def case(name: str, model: type[Any] = Glm4MoeForCausalLM, **options: Any) -> Case:
    return Case(name, partial(Glm4MoeConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("groups", n_group=4, topk_group=2, num_experts_per_tok=2, routed_scaling_factor=2.5),
    case("qk-norm", use_qk_norm=True, attention_bias=False, first_k_dense_replace=2),
    case("all-mixtures-two-shared", first_k_dense_replace=0, n_shared_experts=2, norm_topk_prob=False),
    case("tied-all-turns", tie_word_embeddings=True, partial_rotary_factor=1.0, head_dim=8),
    case("headless", Glm4MoeModel, num_key_value_heads=1),
]
