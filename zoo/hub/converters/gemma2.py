"""Gemma 2 (arXiv:2408.00118): norms before and after each sublayer, soft-capping, and a window in every other layer."""

from __future__ import annotations

from zoo.hub.computed_keys import InverseSquareRoot
from zoo.hub.config_views import FLOAT
from zoo.hub.constant_keys import Passthrough
from zoo.hub.converters.gemma import COMMON, GEMMA
from zoo.hub.converters.llama import BLOCKS, LEFT_OUT, PERCEPTRON, REPEATED, SIZES
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, Key, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Rule, Same
from zoo.hub.window_keys import LayerPattern, Window
from zoo.registry.options import Maybe

_LAYER, _OURS = "model.layers.{layer}", "stack.layers.{layer}.residual"
AROUND: tuple[Rule, ...] = (
    Same(f"{_LAYER}.input_layernorm.weight", f"{_OURS}.before.0.weight"),
    Same(f"{_LAYER}.post_attention_layernorm.weight", f"{_OURS}.after.0.weight"),
    Same(f"{_LAYER}.pre_feedforward_layernorm.weight", f"{_OURS}.before.1.weight"),
    Same(f"{_LAYER}.post_feedforward_layernorm.weight", f"{_OURS}.after.1.weight"),
)
COMMON_2: tuple[Key, ...] = (
    *replace_defaults(
        SIZES,
        hidden_size=2304,
        num_hidden_layers=26,
        num_attention_heads=8,
        num_key_value_heads=4,
    ),
    Equal("intermediate_size", "hidden", default=9216),
    Equal("head_dim", "head_dim", default=256),
    InverseSquareRoot("query_pre_attn_scalar", "attention.scores.scale", 256),
    map_activation("hidden_activation", default="gelu_pytorch_tanh"),
    *COMMON,
    Passthrough(("hidden_act", "cache_implementation")),
)
"""Options common to Gemma 2 and 3; ``hidden_act`` is a leftover of the first Gemma, and is not used."""

FAMILY = Family(
    name="gemma2",
    architectures=list_decoder_classes("Gemma2"),
    base={**GEMMA, "residual": {"name": "sandwich"}},
    keys=(
        *replace_defaults(COMMON_2, vocab_size=256000),
        Equal("attn_logit_softcapping", "attention.scores.softcap", Maybe(FLOAT), 50.0),
        Equal("final_logit_softcapping", "head.softcap", Maybe(FLOAT), 30.0),
        Window(default=4096, pattern=LayerPattern.from_period(2)),
        Rotary(),
    ),
    rules=(*BLOCKS, *PERCEPTRON, *AROUND),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
