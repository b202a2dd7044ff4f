"""DeepSeek-V2 (arXiv:2405.04434): latent attention, and many small experts."""

from __future__ import annotations

from zoo.hub.config_views import BOOL, FLOAT, INT
from zoo.hub.constant_keys import Fixed, Passthrough, Redundant
from zoo.hub.converters.glm4_moe import SHARED
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED
from zoo.hub.converters.qwen3_moe import EXPERTS
from zoo.hub.expert_keys import ExpertGroups, FirstLayersDense, map_experts
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.fused_rules import Joined
from zoo.hub.keys import Equal, map_activation, map_layers
from zoo.hub.latent_keys import LatentScale
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Rule, Same, SingleOrPair
from zoo.registry.options import Maybe

_THEIRS, _OURS = "model.layers.{layer}.self_attn", "stack.layers.{layer}.attention"

LATENT: tuple[Rule, ...] = (
    SingleOrPair(
        f"{_THEIRS}.q_proj.weight",
        (f"{_OURS}.query.weight", f"{_OURS}.query_down.weight"),
        narrow=(f"{_THEIRS}.q_b_proj.weight", f"{_THEIRS}.q_a_proj.weight"),
    ),
    Same(f"{_THEIRS}.q_a_layernorm.weight", f"{_OURS}.query_norm.weight"),
    Joined(f"{_THEIRS}.kv_a_proj_with_mqa.weight", (f"{_OURS}.down.weight", f"{_OURS}.shared_key.weight")),
    Same(f"{_THEIRS}.kv_a_layernorm.weight", f"{_OURS}.norm.weight"),
    Joined(f"{_THEIRS}.kv_b_proj.weight", (f"{_OURS}.key.weight", f"{_OURS}.value.weight"), by_head=True),
    *BLOCKS,
)
"""Embedding, latent attention, final norm and head."""
EPS = 1e-6
"""Epsilon of the norms of latent vectors, independent of ``rms_norm_eps``; our model has one epsilon for all norms."""
LATENT_BASE = {
    **BASE,
    "attention": {"name": "latent"},
    "norm": {"name": "rms", "eps": EPS},
    "position": {"name": "rotary", "interleaved": True},
}
ATTENTION = (
    Equal("attention_dropout", "attention.scores.dropout", FLOAT, 0.0),
    Equal("qk_nope_head_dim", "head_dim", default=128, least=1),
    Equal("qk_rope_head_dim", "attention.rope_dim", default=64, least=1),
    Equal("v_head_dim", "attention.value_dim", default=128),
    Equal("kv_lora_rank", "attention.rank", default=512),
    Equal("q_lora_rank", "attention.query_rank", Maybe(INT), 1536),
    Redundant("num_key_value_heads", "heads"),
    Fixed("rms_norm_eps", EPS),
    Fixed("attention_bias", False),
    Equal("tie_word_embeddings", "head.tied", BOOL, False),
    map_activation("hidden_act", default="silu"),
    Passthrough(("max_position_embeddings", "head_dim", "qk_head_dim", "pretraining_tp", "output_router_logits")),
)
BALANCE = (
    Equal("aux_loss_alpha", "ffn.router.aux_loss", FLOAT, 0.0),
    Passthrough(("seq_aux", "ep_size")),
    Fixed("moe_layer_freq", 1),
)

FAMILY = Family(
    name="deepseek_v2",
    architectures=list_decoder_classes("DeepseekV2"),
    base={**LATENT_BASE, "ffn": {"name": "moe", "router": {"normalize": False}}},
    keys=(
        Equal("vocab_size", "vocabulary", default=102400),
        Equal("hidden_size", "dim", default=4096),
        map_layers("num_hidden_layers", default=32),
        Equal("num_attention_heads", "heads", default=32),
        *ATTENTION,
        Equal("moe_intermediate_size", "hidden", default=1407),
        map_experts("n_routed_experts", 64, "num_experts"),
        Equal("n_shared_experts", "ffn.shared", default=2, least=1),
        Equal("num_experts_per_tok", "ffn.router.top_k"),
        Equal("routed_scaling_factor", "ffn.router.scaling", FLOAT, 1.0),
        Fixed("norm_topk_prob", False),
        Fixed("scoring_func", "softmax"),
        Fixed("mlp_bias", False),
        *BALANCE,
        ExpertGroups("max", method="topk_method"),
        FirstLayersDense(default=11008),
        Rotary(),
        LatentScale(),
    ),
    rules=(*LATENT, *PRE_NORMS, *EXPERTS, *SHARED, *PERCEPTRON),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
