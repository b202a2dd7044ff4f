from __future__ import annotations

from functools import partial
from typing import Any

from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM, Qwen3MoeModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "intermediate_size": 40,
    "moe_intermediate_size": 16,
    "num_experts": 6,
    "num_experts_per_tok": 3,
    "head_dim": 16,
    "norm_topk_prob": True,
}


def case(name: str, model: type[Any] = Qwen3MoeForCausalLM, **options: Any) -> Case:
    return Case(name, partial(Qwen3MoeConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("weights-as-they-are", norm_topk_prob=False, num_experts_per_tok=1),
    case("every-second-a-mixture", num_hidden_layers=4, decoder_sparse_step=2),
    case("last-layer-dense", num_hidden_layers=3, mlp_only_layers=[0, 2], attention_bias=True),
    case("window-tied", use_sliding_window=True, sliding_window=5, tie_word_embeddings=True),
    case("headless", Qwen3MoeModel, head_dim=8, num_key_value_heads=4),
]
