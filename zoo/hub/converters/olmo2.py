"""OLMo 2 (arXiv:2501.00656): Llama with norms after the sublayers, and norms over all queries and all keys."""

from __future__ import annotations

from zoo.hub.computed_keys import Switch
from zoo.hub.config_views import BOOL
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, REPEATED, SIZES
from zoo.hub.converters.qwen3 import QK_NORMS
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Same

_LAYER, _OURS = "model.layers.{layer}", "stack.layers.{layer}"

FAMILY = Family(
    name="olmo2",
    architectures=list_decoder_classes("Olmo2"),
    base={**BASE, "attention": {"name": "grouped_query", "qk_norm": "full"}, "residual": {"name": "inside"}},
    keys=(
        *replace_defaults(
            SIZES,
            vocab_size=50304,
            hidden_size=4096,
            num_hidden_layers=32,
            num_attention_heads=32,
            rms_norm_eps=1e-5,
        ),
        Equal("intermediate_size", "hidden", default=11008),
        Equal("head_dim", "head_dim", default=None),
        Equal("tie_word_embeddings", "head.tied", BOOL, False),
        map_activation("hidden_act", default="silu"),
        Switch("attention_bias", "attention.bias", "all", "none", False),
        Rotary(),
    ),
    rules=(
        *BLOCKS,
        *PERCEPTRON,
        *QK_NORMS,
        Same(f"{_LAYER}.post_attention_layernorm.weight", f"{_OURS}.residual.norms.0.weight"),
        Same(f"{_LAYER}.post_feedforward_layernorm.weight", f"{_OURS}.residual.norms.1.weight"),
    ),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
