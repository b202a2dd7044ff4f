from __future__ import annotations

from functools import partial
from typing import Any

from transformers import ElectraConfig, ElectraForMaskedLM, ElectraModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "embedding_size": 16,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}


def case(name: str, model: type[Any] = ElectraForMaskedLM, **options: Any) -> Case:
    return Case(name, partial(ElectraConfig, **{**TINY, **options}), model)


CASES = [
    case("small-generator"),
    case("wide-table", embedding_size=48, num_hidden_layers=3),
    case("no-map-untied", embedding_size=32, tie_word_embeddings=False),
    case("relu-in-layers-gelu-in-head", hidden_act="relu", type_vocab_size=1),
    case("no-map-coarse-norm", embedding_size=32, layer_norm_eps=1e-2, num_attention_heads=2),
    case("discriminator-body", ElectraModel),
    case("base-discriminator-body", ElectraModel, embedding_size=32),
]
