"""GLM-4-0414 (2025): GLM-4 with norms before and after each sublayer."""

from __future__ import annotations

from zoo.hub.converters.glm import GLM, JOINED, KEYS
from zoo.hub.converters.llama import BLOCKS, LEFT_OUT, REPEATED
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.tensor_rules import Same

_LAYER, _OURS = "model.layers.{layer}", "stack.layers.{layer}.residual"

FAMILY = Family(
    name="glm4",
    architectures=list_decoder_classes("Glm4"),
    base={**GLM, "residual": {"name": "sandwich"}},
    keys=KEYS,
    rules=(
        *BLOCKS,
        *JOINED,
        Same(f"{_LAYER}.input_layernorm.weight", f"{_OURS}.before.0.weight"),
        Same(f"{_LAYER}.post_self_attn_layernorm.weight", f"{_OURS}.after.0.weight"),
        Same(f"{_LAYER}.post_attention_layernorm.weight", f"{_OURS}.before.1.weight"),
        Same(f"{_LAYER}.post_mlp_layernorm.weight", f"{_OURS}.after.1.weight"),
    ),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
