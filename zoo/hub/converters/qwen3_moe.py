"""Qwen 3 with mixtures of experts (arXiv:2505.09388)."""

from __future__ import annotations

from zoo.hub.computed_keys import Switch
from zoo.hub.config_views import BOOL
from zoo.hub.constant_keys import Passthrough
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED, SIZES
from zoo.hub.converters.mixtral import BALANCE
from zoo.hub.converters.qwen3 import QK_NORMS
from zoo.hub.expert_keys import MixtureStep, map_experts
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.fused_rules import Experts
from zoo.hub.keys import Equal, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Rule, Same
from zoo.hub.window_keys import Window

_THEIRS, _OURS = "model.layers.{layer}.mlp", "stack.layers.{layer}.ffn"

EXPERTS: tuple[Rule, ...] = (
    Same(f"{_THEIRS}.gate.weight", f"{_OURS}.router.logits.weight"),
    Experts(f"{_THEIRS}.experts.{{expert}}.gate_proj.weight", f"{_OURS}.experts.gate.weight"),
    Experts(f"{_THEIRS}.experts.{{expert}}.up_proj.weight", f"{_OURS}.experts.up.weight"),
    Experts(f"{_THEIRS}.experts.{{expert}}.down_proj.weight", f"{_OURS}.experts.down.weight"),
)
"""Router and experts, under their most common names."""

FAMILY = Family(
    name="qwen3_moe",
    architectures=list_decoder_classes("Qwen3Moe", answers="transformer."),
    base={**BASE, "attention": {"name": "grouped_query", "qk_norm": "head"}, "ffn": {"name": "moe"}},
    keys=(
        *replace_defaults(
            SIZES,
            vocab_size=151936,
            hidden_size=2048,
            num_hidden_layers=24,
            num_attention_heads=32,
            num_key_value_heads=4,
        ),
        Equal("moe_intermediate_size", "hidden", default=768),
        Equal("head_dim", "head_dim", default=None),
        Equal("tie_word_embeddings", "head.tied", BOOL, False),
        map_activation("hidden_act", default="silu"),
        Switch("attention_bias", "attention.bias", "all", "none", False),
        map_experts("num_experts", 128, "num_local_experts"),
        Equal("num_experts_per_tok", "ffn.router.top_k", default=8),
        Equal("norm_topk_prob", "ffn.router.normalize", BOOL, False),
        *BALANCE,
        MixtureStep(default=6144),
        Window(layer_types=None, default=4096, switch="use_sliding_window"),
        Passthrough(("max_window_layers",)),
        Rotary(),
    ),
    rules=(*BLOCKS, *PRE_NORMS, *QK_NORMS, *EXPERTS, *PERCEPTRON),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
