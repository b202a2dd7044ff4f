from __future__ import annotations

from functools import partial
from typing import Any

from transformers import BartConfig, BartForConditionalGeneration, BartModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "max_position_embeddings": 40,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
}


def case(name: str, model: type[Any] = BartForConditionalGeneration, **options: Any) -> Case:
    return Case(name, partial(BartConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("scaled-embedding", scale_embedding=True),
    case("deeper-encoder", encoder_layers=3, decoder_layers=1),
    case("stacks-of-other-widths", encoder_attention_heads=2, decoder_attention_heads=8, decoder_ffn_dim=40),
    case("gelu-by-tanh", activation_function="gelu_new"),
    case("relu-other-start", activation_function="relu", decoder_start_token_id=7, pad_token_id=3),
    case("headless", BartModel),
]
