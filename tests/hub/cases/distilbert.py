from __future__ import annotations

from functools import partial
from typing import Any

from transformers import DistilBertConfig, DistilBertForMaskedLM, DistilBertModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 40,
}


def case(name: str, model: type[Any] = DistilBertForMaskedLM, **options: Any) -> Case:
    return Case(name, partial(DistilBertConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("untied", tie_word_embeddings=False),
    case("relu-in-layers-and-head-one-head", activation="relu", n_heads=1),
    case("tanh-gelu-three-layers-just-long-enough", activation="gelu_new", n_layers=3, max_position_embeddings=13),
    case("headless", DistilBertModel),
]
