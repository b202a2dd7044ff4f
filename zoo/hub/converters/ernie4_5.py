"""ERNIE 4.5 (2025), dense models: Llama with interleaved rotary positions."""

from __future__ import annotations

from zoo.hub.computed_keys import Derived
from zoo.hub.config_views import BOOL
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED, SIZES
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary

FAMILY = Family(
    name="ernie4_5",
    architectures=list_decoder_classes("Ernie4_5"),
    base={**BASE, "position": {"name": "rotary", "interleaved": True}},
    keys=(
        *replace_defaults(
            SIZES,
            vocab_size=103424,
            hidden_size=1024,
            num_hidden_layers=18,
            num_attention_heads=16,
            num_key_value_heads=2,
            rms_norm_eps=1e-5,
        ),
        Equal("intermediate_size", "hidden", default=3072),
        Equal("head_dim", "head_dim", default=128),
        Equal("tie_word_embeddings", "head.tied", BOOL, True),
        map_activation("hidden_act", default="silu"),
        Equal("use_bias", "ffn.bias", BOOL, False),
        Derived("attention.bias", lambda ours: "all" if ours.get("ffn.bias") else "none"),
        Rotary(base=500000.0),
    ),
    rules=(*BLOCKS, *PERCEPTRON, *PRE_NORMS),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
