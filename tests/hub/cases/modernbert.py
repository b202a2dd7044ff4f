from __future__ import annotations

from functools import partial
from typing import Any

from transformers import ModernBertConfig, ModernBertForMaskedLM, ModernBertModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "local_attention": 6,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "cls_token_id": 1,
    "eos_token_id": 2,
    "sep_token_id": 2,
}
TURNS = {
    "full_attention": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 30.0},
}


def case(name: str, model: type[Any] = ModernBertForMaskedLM, **options: Any) -> Case:
    return Case(name, partial(ModernBertConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case(
        "all-biases-odd-window",
        norm_bias=True,
        attention_bias=True,
        mlp_bias=True,
        classifier_bias=True,
        local_attention=5,
    ),
    case("untied-no-decoder-bias", tie_word_embeddings=False, decoder_bias=False, norm_eps=1e-2),
    case("all-global-relu", layer_types=["full_attention"] * 2, num_hidden_layers=2, hidden_activation="relu"),
    case("all-local", layer_types=["sliding_attention"] * 2, num_hidden_layers=2, classifier_activation="silu"),
    case(
        "no-period-two-turns",
        layer_types=["sliding_attention", *["full_attention"] * 2, "sliding_attention"],
        rope_parameters=TURNS,
    ),
    case("headless-every-second", ModernBertModel, global_attn_every_n_layers=2, num_attention_heads=2),
]
