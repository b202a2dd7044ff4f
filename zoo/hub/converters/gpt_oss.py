"""gpt-oss (arXiv:2508.10925): sinks, a window in every other layer, and experts with clamped gates and biases."""

from __future__ import annotations

from zoo.hub.computed_keys import Switch
from zoo.hub.config_views import BOOL, FLOAT
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PRE_NORMS, REPEATED, SIZES
from zoo.hub.converters.mixtral import BALANCE
from zoo.hub.expert_keys import map_experts
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.fused_rules import Interleaved
from zoo.hub.keys import Equal, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Same, Transposed
from zoo.hub.window_keys import LayerPattern, Window

_THEIRS, _OURS = "model.layers.{layer}.mlp", "stack.layers.{layer}.ffn"
_YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}

FAMILY = Family(
    name="gpt_oss",
    architectures=list_decoder_classes("GptOss"),
    base={
        **BASE,
        "attention": {"name": "grouped_query", "scores": {"sinks": True}},
        "ffn": {
            "name": "moe",
            "activation": "quick_gelu",
            "bias": True,
            "up_offset": 1.0,
            "router": {"learned_bias": True},
        },
    },
    keys=(
        *replace_defaults(
            SIZES,
            vocab_size=201088,
            hidden_size=2880,
            num_hidden_layers=36,
            num_attention_heads=64,
            num_key_value_heads=8,
            rms_norm_eps=1e-5,
        ),
        Equal("intermediate_size", "hidden", default=2880),
        Equal("head_dim", "head_dim", default=64),
        Equal("tie_word_embeddings", "head.tied", BOOL, False),
        Switch("attention_bias", "attention.bias", "all", "none", True),
        map_experts("num_local_experts", 128, "num_experts"),
        Equal("num_experts_per_tok", "ffn.router.top_k", default=4),
        *BALANCE,
        Fixed("swiglu_alpha", 1.702),
        Equal("swiglu_limit", "ffn.clamp", FLOAT, 7.0),
        Passthrough(("hidden_act", "experts_per_token", "initial_context_length")),
        Window(default=128, pattern=LayerPattern.from_period(2)),
        Rotary(base=150000.0, absent=_YARN),
    ),
    rules=(
        *BLOCKS,
        *PRE_NORMS,
        Same("model.layers.{layer}.self_attn.sinks", "stack.layers.{layer}.attention.sinks"),
        Same(f"{_THEIRS}.router.*", f"{_OURS}.router.logits.*"),
        Interleaved(f"{_THEIRS}.experts.gate_up_proj", (f"{_OURS}.experts.gate.weight", f"{_OURS}.experts.up.weight")),
        Interleaved(f"{_THEIRS}.experts.gate_up_proj_bias", (f"{_OURS}.experts.gate.bias", f"{_OURS}.experts.up.bias")),
        Transposed(f"{_THEIRS}.experts.down_proj", f"{_OURS}.experts.down.weight"),
        Same(f"{_THEIRS}.experts.down_proj_bias", f"{_OURS}.experts.down.bias"),
    ),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
