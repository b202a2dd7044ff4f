"""A model of each variant with a tokenizer of bytes, or another, that reads any text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer

from zoo.components.tokenizer.bytes import Bytes
from zoo.generation.prompting import Prompting
from zoo.model.build import build
from zoo.model.variants.variant import Variant

TOKENIZER = Bytes().build([])
Speaker = Callable[..., tuple[Variant, Prompting]]


@pytest.fixture(scope="session")
def speaker(tiny: Callable[..., dict[str, Any]], lively: Callable[..., None]) -> Speaker:
    """Builds a model and the prompting that it would have after training; parts of the model by keyword."""

    def make(variant: str = "decoder", tokenizer: Tokenizer = TOKENIZER, **over: Any) -> tuple[Variant, Prompting]:
        model = build(tiny(variant, **over), tokenizer.get_vocab_size(), seed=0).eval()
        lively(model)
        start = (tokenizer.token_to_id("<bos>"),) if variant == "encoder_decoder" else ()
        return model, Prompting(tokenizer, own_rules=False, start=start)

    return make
