"""GLM-4 (arXiv:2406.12793): Llama with interleaved rotary positions on half of each head, and biases on q, k and v."""

from __future__ import annotations

from zoo.hub.computed_keys import Switch
from zoo.hub.config_views import BOOL
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PRE_NORMS, REPEATED, SIZES
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.fused_rules import Joined
from zoo.hub.keys import Equal, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Rule, Same

GLM = {**BASE, "position": {"name": "rotary", "interleaved": True}}
KEYS = (
    *replace_defaults(
        SIZES,
        vocab_size=151552,
        hidden_size=4096,
        num_hidden_layers=40,
        num_attention_heads=32,
        num_key_value_heads=2,
        rms_norm_eps=0.00000015625,
    ),
    Equal("intermediate_size", "hidden", default=13696),
    Equal("head_dim", "head_dim", default=128),
    Equal("tie_word_embeddings", "head.tied", BOOL, False),
    map_activation("hidden_act", default="silu"),
    Switch("attention_bias", "attention.bias", "qkv", "none", True),
    Rotary(fraction=0.5),
)
_LAYER, _OURS = "model.layers.{layer}.mlp", "stack.layers.{layer}.ffn"
JOINED: tuple[Rule, ...] = (
    Joined(f"{_LAYER}.gate_up_proj.weight", (f"{_OURS}.gate.weight", f"{_OURS}.up.weight")),
    Same(f"{_LAYER}.down_proj.weight", f"{_OURS}.down.weight"),
)

FAMILY = Family(
    name="glm",
    architectures=list_decoder_classes("Glm"),
    base=GLM,
    keys=KEYS,
    rules=(*BLOCKS, *JOINED, *PRE_NORMS),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
