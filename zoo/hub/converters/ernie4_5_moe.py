"""ERNIE 4.5 with mixtures of experts (2025)."""

from __future__ import annotations

from zoo.hub.config_views import BOOL
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.converters.glm4_moe import FURTHER, SHARED
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED, SIZES
from zoo.hub.converters.mixtral import BALANCE
from zoo.hub.converters.qwen3_moe import EXPERTS
from zoo.hub.expert_keys import Dropped, MixtureRange, map_experts
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, Synonyms, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Row

FAMILY = Family(
    name="ernie4_5_moe",
    architectures=list_decoder_classes("Ernie4_5_Moe"),
    base={
        **BASE,
        "ffn": {"name": "moe", "router": {"correction": 0.0}},
        "position": {"name": "rotary", "interleaved": True},
    },
    keys=(
        *replace_defaults(
            SIZES,
            vocab_size=103424,
            hidden_size=2560,
            num_hidden_layers=28,
            num_attention_heads=20,
            num_key_value_heads=4,
            rms_norm_eps=1e-5,
        ),
        Equal("moe_intermediate_size", "hidden", default=1536),
        Equal("head_dim", "head_dim", default=None),
        Equal("tie_word_embeddings", "head.tied", BOOL, True),
        map_activation("hidden_act", default="silu"),
        Fixed("use_bias", False),
        map_experts("moe_num_experts", 64, "num_experts"),
        Equal("moe_num_shared_experts", "ffn.shared", default=2),
        Synonyms(Equal("moe_k", "ffn.router.top_k", default=6), ("num_experts_per_tok",)),
        Fixed("moe_norm_min", 1e-12),
        Fixed("moe_gate", "topk"),
        Fixed("moe_use_aux_free", True),
        *BALANCE,
        MixtureRange(default=12288),
        Dropped("num_nextn_predict_layers", 0),
        Passthrough(("moe_capacity",)),
        Rotary(base=500000.0),
    ),
    rules=(
        *BLOCKS,
        *PRE_NORMS,
        *EXPERTS,
        *SHARED,
        Row(
            "model.layers.{layer}.mlp.moe_statics.e_score_correction_bias",
            "stack.layers.{layer}.ffn.router.correction",
        ),
        *PERCEPTRON,
    ),
    prefix="model.",
    repeated=REPEATED,
    left_out={**LEFT_OUT, "*mtp*": FURTHER},
)
