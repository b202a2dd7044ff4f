from __future__ import annotations

from functools import partial
from typing import Any

from transformers import AlbertConfig, AlbertForMaskedLM, AlbertModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "embedding_size": 16,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}


def case(name: str, model: type[Any] = AlbertForMaskedLM, **options: Any) -> Case:
    return Case(name, partial(AlbertConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("two-layers-take-turns", inner_group_num=2, num_hidden_layers=2),
    case("nothing-shared", inner_group_num=3, num_hidden_layers=1, hidden_act="relu"),
    case("table-as-wide-as-the-layers", embedding_size=32, hidden_act="gelu"),
    case("table-as-wide-untied", embedding_size=32, tie_word_embeddings=False),
    case("wide-table-one-type", embedding_size=48, type_vocab_size=1, layer_norm_eps=1e-2, num_attention_heads=2),
    case("headless-with-pooler", AlbertModel, num_hidden_layers=4),
]
