"""DeepSeek-V3 (arXiv:2412.19437): V2 with sigmoid router scores and a load-balancing correction bias."""

from __future__ import annotations

from zoo.hub.config_views import BOOL, FLOAT
from zoo.hub.constant_keys import Fixed
from zoo.hub.converters.deepseek_v2 import ATTENTION, BALANCE, LATENT, LATENT_BASE
from zoo.hub.converters.glm4_moe import CORRECTED, CORRECTION, FURTHER, SHARED
from zoo.hub.converters.llama import LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED
from zoo.hub.converters.qwen3_moe import EXPERTS
from zoo.hub.expert_keys import Dropped, ExpertGroups, FirstLayersDense, map_experts
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, map_layers
from zoo.hub.latent_keys import LatentScale
from zoo.hub.rotary_keys import Rotary

FAMILY = Family(
    name="deepseek_v3",
    architectures=list_decoder_classes("DeepseekV3"),
    base={**LATENT_BASE, "ffn": CORRECTED},
    keys=(
        Equal("vocab_size", "vocabulary", default=129280),
        Equal("hidden_size", "dim", default=7168),
        map_layers("num_hidden_layers", default=61),
        Equal("num_attention_heads", "heads", default=128),
        *ATTENTION,
        Equal("moe_intermediate_size", "hidden", default=2048),
        map_experts("n_routed_experts", 256, "num_local_experts"),
        Equal("n_shared_experts", "ffn.shared", default=1, least=1),
        Equal("num_experts_per_tok", "ffn.router.top_k", default=8),
        Equal("routed_scaling_factor", "ffn.router.scaling", FLOAT, 2.5),
        Equal("norm_topk_prob", "ffn.router.normalize", BOOL, True),
        Fixed("topk_method", "noaux_tc"),
        Fixed("scoring_func", "sigmoid"),
        *BALANCE,
        ExpertGroups("top_two", groups=8, top=4),
        FirstLayersDense(default=18432, first=3),
        Dropped("num_nextn_predict_layers", 0, ("num_mtp_layers",)),
        Equal("rope_interleave", "position.interleaved", BOOL, True),
        Rotary(),
        LatentScale(),
    ),
    rules=(*LATENT, *PRE_NORMS, *EXPERTS, *SHARED, CORRECTION, *PERCEPTRON),
    prefix="model.",
    repeated=REPEATED,
    left_out={**LEFT_OUT, "model.layers.61.*": FURTHER},
)
