from __future__ import annotations

from functools import partial
from typing import Any

from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, GPTNeoXModel

from tests.hub.oracle import Case

TINY: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


def case(name: str, model: type[Any] = GPTNeoXForCausalLM, **options: Any) -> Case:
    return Case(name, partial(GPTNeoXConfig, **{**TINY, **options}), model)


CASES = [
    case("as-published"),
    case("one-after-the-other", use_parallel_residual=False),
    case("no-biases-tied", attention_bias=False, tie_word_embeddings=True),
    case("all-turned-two-heads", num_attention_heads=2, rotary_pct=1.0, rotary_emb_base=500),
    case("gelu-by-tanh-coarse-norm", hidden_act="gelu_new", layer_norm_eps=1e-2, use_parallel_residual=False),
    case("linear-scaling", rope_scaling={"rope_type": "linear", "factor": 3.0}, rotary_pct=0.5),
    case("headless", GPTNeoXModel),
]
