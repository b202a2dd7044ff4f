from __future__ import annotations

from functools import partial
from typing import Any

from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma2Model

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
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


def case(name: str, model: type[Any] = Gemma2ForCausalLM, **options: Any) -> Case:
    return Case(name, partial(Gemma2Config, **{**TINY, **options}), model)


CASES = [
    case("alternating"),
    case("tight-caps", attn_logit_softcapping=1.5, final_logit_softcapping=2.0),
    case("no-caps-other-scale", attn_logit_softcapping=None, final_logit_softcapping=None, query_pre_attn_scalar=3),
    case("all-see-all", layer_types=["full_attention"] * 3),
    case("all-local", layer_types=["sliding_attention"] * 3, sliding_window=2, head_dim=16),
    case(
        "full-first-biases-untied",
        layer_types=["full_attention", "sliding_attention", "sliding_attention"],
        attention_bias=True,
        tie_word_embeddings=False,
    ),
    case("headless", Gemma2Model),
]
