"""Gemma (arXiv:2403.08295): Llama with scaled embeddings, norm weights stored as offsets from 1, and GeGLU."""

from __future__ import annotations

from zoo.hub.computed_keys import Switch
from zoo.hub.config_views import BOOL, STR
from zoo.hub.constant_keys import Fixed
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED, SIZES
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import ACTIVATIONS, Equal, Key, replace_defaults
from zoo.hub.rotary_keys import Rotary

GEMMA = {**BASE, "norm": {"name": "rms", "unit_offset": True}, "embedding": {"scaled": True}}
"""Config common to all Gemma models."""
COMMON: tuple[Key, ...] = (
    Equal("tie_word_embeddings", "head.tied", BOOL, True),
    Switch("attention_bias", "attention.bias", "all", "none", False),
    Fixed("use_bidirectional_attention", False),
)
_NAMES = {"gelu_pytorch_tanh": "gelu_tanh", **ACTIVATIONS, "gelu": "gelu_tanh"}
"""The first configs have gelu, and mean the tanh approximation."""

FAMILY = Family(
    name="gemma",
    architectures=list_decoder_classes("Gemma"),
    base=GEMMA,
    keys=(
        *replace_defaults(
            SIZES,
            vocab_size=256000,
            hidden_size=3072,
            num_hidden_layers=28,
            num_attention_heads=16,
            num_key_value_heads=16,
        ),
        Equal("intermediate_size", "hidden", default=24576),
        Equal("head_dim", "head_dim", default=256),
        Equal("hidden_act", "ffn.activation", STR, "gelu_pytorch_tanh", _NAMES),
        Fixed("hidden_activation", "gelu_pytorch_tanh"),
        *COMMON,
        Rotary(),
    ),
    rules=(*BLOCKS, *PERCEPTRON, *PRE_NORMS),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
