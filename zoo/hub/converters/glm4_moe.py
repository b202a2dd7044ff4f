"""GLM-4.5 (arXiv:2508.06471): mixtures of experts whose router has a correction bias."""

from __future__ import annotations

from zoo.hub.computed_keys import Switch
from zoo.hub.config_views import BOOL, FLOAT
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED, SIZES
from zoo.hub.converters.qwen3 import QK_NORMS
from zoo.hub.converters.qwen3_moe import EXPERTS
from zoo.hub.expert_keys import Dropped, ExpertGroups, FirstLayersDense, map_experts
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, map_activation, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Rule, Same

_THEIRS, _OURS = "model.layers.{layer}.mlp", "stack.layers.{layer}.ffn"

SHARED: tuple[Rule, ...] = (
    Same(f"{_THEIRS}.shared_experts.gate_proj.weight", f"{_OURS}.shared.gate.weight"),
    Same(f"{_THEIRS}.shared_experts.up_proj.weight", f"{_OURS}.shared.up.weight"),
    Same(f"{_THEIRS}.shared_experts.down_proj.weight", f"{_OURS}.shared.down.weight"),
)
"""The shared experts, as one feed-forward network."""
CORRECTION = Same(f"{_THEIRS}.gate.e_score_correction_bias", f"{_OURS}.router.correction")
CORRECTED = {"name": "moe", "router": {"score": "sigmoid", "correction": 0.0}}
"""A mixture with a correction bias, which is not updated in training."""
FURTHER = "layers for multi-token prediction are not part of the model"

FAMILY = Family(
    name="glm4_moe",
    architectures=list_decoder_classes("Glm4Moe"),
    base={**BASE, "ffn": CORRECTED},
    keys=(
        *replace_defaults(
            SIZES,
            vocab_size=151552,
            hidden_size=4096,
            num_hidden_layers=46,
            num_attention_heads=96,
            num_key_value_heads=8,
            rms_norm_eps=1e-5,
        ),
        Equal("moe_intermediate_size", "hidden", default=1408),
        Equal("head_dim", "head_dim", default=None),
        Equal("tie_word_embeddings", "head.tied", BOOL, False),
        map_activation("hidden_act", default="silu"),
        Switch("attention_bias", "attention.bias", "qkv", "none", False),
        Switch("use_qk_norm", "attention.qk_norm", "head", "none", False),
        map_experts("n_routed_experts", 128, "num_local_experts"),
        Equal("n_shared_experts", "ffn.shared", default=1, least=1),
        Equal("num_experts_per_tok", "ffn.router.top_k", default=8),
        Equal("norm_topk_prob", "ffn.router.normalize", BOOL, True),
        Equal("routed_scaling_factor", "ffn.router.scaling", FLOAT, 1.0),
        Equal("router_aux_loss_coef", "ffn.router.aux_loss", FLOAT, 0.0),
        Passthrough(("output_router_logits",)),
        ExpertGroups("top_two"),
        Fixed("topk_method", "noaux_tc"),
        Fixed("scoring_func", "sigmoid"),
        FirstLayersDense(default=10944, first=1),
        Dropped("num_nextn_predict_layers", 0, ("num_mtp_layers",)),
        Rotary(fraction=0.5),
    ),
    rules=(*BLOCKS, *PRE_NORMS, *QK_NORMS, *EXPERTS, *SHARED, CORRECTION, *PERCEPTRON),
    prefix="model.",
    repeated=REPEATED,
    left_out={**LEFT_OUT, "model.layers.46.*": FURTHER, "model.layers.92.*": FURTHER},
)
