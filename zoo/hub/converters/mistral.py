"""Mistral 7B (arXiv:2310.06825): Llama with a window in all layers."""

from __future__ import annotations

from zoo.hub.config_views import BOOL
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED, SIZES
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.window_keys import Window

FAMILY = Family(
    name="mistral",
    architectures=list_decoder_classes("Mistral"),
    base=BASE,
    keys=(
        *replace_defaults(
            SIZES,
            vocab_size=32000,
            hidden_size=4096,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
        ),
        Equal("intermediate_size", "hidden", default=14336),
        Equal("head_dim", "head_dim", default=None),
        Equal("tie_word_embeddings", "head.tied", BOOL, False),
        map_activation("hidden_act", default="silu"),
        Window(layer_types=None, default=4096),
        Rotary(),
    ),
    rules=(*BLOCKS, *PERCEPTRON, *PRE_NORMS),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
