from __future__ import annotations

from functools import partial
from typing import Any

from transformers import BertConfig, BertForMaskedLM, BertModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}


def case(name: str, model: type[Any] = BertForMaskedLM, **options: Any) -> Case:
    return Case(name, partial(BertConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("one-type-one-head", type_vocab_size=1, num_attention_heads=1),
    case("relu-in-layers-and-head", hidden_act="relu"),
    case("tanh-gelu-three-layers-coarse-norm", hidden_act="gelu_new", num_hidden_layers=3, layer_norm_eps=1e-2),
    case("just-long-enough", max_position_embeddings=13, intermediate_size=128),
    case("untied", tie_word_embeddings=False),
    case("headless-with-pooler", BertModel),
]
