from __future__ import annotations

from functools import partial
from typing import Any

from transformers import FalconConfig, FalconForCausalLM, FalconModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


def case(name: str, model: type[Any] = FalconForCausalLM, **options: Any) -> Case:
    return Case(name, partial(FalconConfig, **{**TINY, **options}), model)


CASES = [
    case("7b-one-key-for-all"),
    case("40b-two-keys-two-norms", new_decoder_architecture=True, num_kv_heads=2),
    case("11b-two-keys-one-norm", new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1),
    case("a-key-for-each-biases-untied", multi_query=False, bias=True, tie_word_embeddings=False),
    case("relu-wide-hidden-other-base", activation="relu", ffn_hidden_size=72, rope_theta=500.0),
    case("headless", FalconModel, layer_norm_epsilon=1e-2),
]
