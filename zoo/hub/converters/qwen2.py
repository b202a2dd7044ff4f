"""Qwen 2 and 2.5 (arXiv:2407.10671, arXiv:2412.15115): Llama with biases on queries, keys and values."""

from __future__ import annotations

from zoo.hub.config_views import BOOL
from zoo.hub.constant_keys import Fixed
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED, SIZES
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.window_keys import LayerPattern, Window

DENSE = (
    *replace_defaults(
        SIZES,
        vocab_size=151936,
        hidden_size=4096,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
    ),
    Equal("intermediate_size", "hidden", default=22016),
    Equal("tie_word_embeddings", "head.tied", BOOL, False),
    map_activation("hidden_act", default="silu"),
    Window(default=4096, pattern=LayerPattern.from_first_layer(28, "max_window_layers"), switch="use_sliding_window"),
    Rotary(),
)
"""Options common to Qwen 2 and Qwen 3."""

FAMILY = Family(
    name="qwen2",
    architectures=list_decoder_classes("Qwen2", answers="transformer."),
    base={**BASE, "attention": {"name": "grouped_query", "bias": "qkv"}},
    keys=(*DENSE, Equal("head_dim", "head_dim", default=None), Fixed("use_mrope", False)),
    rules=(*BLOCKS, *PERCEPTRON, *PRE_NORMS),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
