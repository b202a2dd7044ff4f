from __future__ import annotations

from functools import partial
from typing import Any

from transformers import RobertaConfig, RobertaForMaskedLM, RobertaModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 42,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}


def case(name: str, model: type[Any] = RobertaForMaskedLM, **options: Any) -> Case:
    return Case(name, partial(RobertaConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("padding-is-the-first-token", pad_token_id=0, type_vocab_size=2),
    case("padding-is-the-fifth-token-and-places-just-suffice", pad_token_id=4, max_position_embeddings=18),
    case("relu-in-layers-gelu-in-head", hidden_act="relu", num_hidden_layers=3),
    case("wide-hidden-coarse-norm", intermediate_size=128, layer_norm_eps=1e-2, num_attention_heads=2),
    case("untied", tie_word_embeddings=False),
    case("headless-with-pooler", RobertaModel),
]
