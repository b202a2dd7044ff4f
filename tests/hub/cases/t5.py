from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from transformers import T5Config, T5ForConditionalGeneration, T5Model

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
GATED: dict[str, Any] = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def case(name: str, model: type[Any] = T5ForConditionalGeneration, untied: bool = False, **options: Any) -> Case:
    return Case(name, partial(T5Config, **{**TINY, **options}), model, untie if untied else None)


def untie(model: Any) -> None:
    """As a checkpoint of T5 1.1 is read: the config of version 5 ties always, and the file has another table."""
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.clone())


CASES = [
    case("as-published"),
    case("gated-untied", untied=True, **GATED),
    case("gated-tied-unscaled", **GATED),
    case("gated-silu-deeper-encoder", feed_forward_proj="gated-silu", num_layers=3, num_decoder_layers=1),
    case("wide-heads-few-buckets", d_kv=16, relative_attention_num_buckets=8, relative_attention_max_distance=6),
    case("gelu-coarse-norm", feed_forward_proj="gelu", layer_norm_epsilon=1e-2, num_heads=2),
    # Not decoded, for transformers 5.23 makes a cache of as many layers as the encoder has.
    case("headless-deeper-decoder", T5Model, num_layers=1, num_decoder_layers=3),
]
