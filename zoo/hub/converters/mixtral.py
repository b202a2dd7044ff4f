"""Mixtral (arXiv:2401.04088): Mistral with mixtures of experts."""

from __future__ import annotations

from zoo.hub.config_views import BOOL, FLOAT
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PRE_NORMS, REPEATED, SIZES
from zoo.hub.expert_keys import map_experts
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.fused_rules import Experts
from zoo.hub.keys import Equal, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Same
from zoo.hub.window_keys import Window

BALANCE = (
    Equal("router_aux_loss_coef", "ffn.router.aux_loss", FLOAT, 0.001),
    Passthrough(("output_router_logits",)),
)
"""Load balancing."""
_THEIRS, _OURS = "model.layers.{layer}.block_sparse_moe", "stack.layers.{layer}.ffn"

FAMILY = Family(
    name="mixtral",
    architectures=list_decoder_classes("Mixtral"),
    base={**BASE, "ffn": {"name": "moe"}},
    keys=(
        *replace_defaults(
            SIZES,
            vocab_size=32000,
            hidden_size=4096,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
            rms_norm_eps=1e-5,
        ),
        Equal("intermediate_size", "hidden", default=14336),
        Equal("head_dim", "head_dim", default=None),
        Equal("tie_word_embeddings", "head.tied", BOOL, False),
        map_activation("hidden_act", default="silu"),
        map_experts("num_local_experts", 8, "num_experts"),
        Equal("num_experts_per_tok", "ffn.router.top_k", default=2),
        *BALANCE,
        Fixed("router_jitter_noise", 0.0),
        Window(layer_types=None),
        Rotary(base=1000000.0),
    ),
    rules=(
        *BLOCKS,
        *PRE_NORMS,
        Same(f"{_THEIRS}.gate.weight", f"{_OURS}.router.logits.weight"),
        Experts(f"{_THEIRS}.experts.{{expert}}.w1.weight", f"{_OURS}.experts.gate.weight"),
        Experts(f"{_THEIRS}.experts.{{expert}}.w3.weight", f"{_OURS}.experts.up.weight"),
        Experts(f"{_THEIRS}.experts.{{expert}}.w2.weight", f"{_OURS}.experts.down.weight"),
    ),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
