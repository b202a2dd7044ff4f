"""Qwen 3 (arXiv:2505.09388): Llama with norms of the queries and keys of each head."""

from __future__ import annotations

from zoo.hub.computed_keys import Switch
from zoo.hub.converters.llama import BASE, BLOCKS, LEFT_OUT, PERCEPTRON, PRE_NORMS, REPEATED
from zoo.hub.converters.qwen2 import DENSE
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal
from zoo.hub.tensor_rules import Rule, Same

QK_NORMS: tuple[Rule, ...] = (
    Same("model.layers.{layer}.self_attn.q_norm.weight", "stack.layers.{layer}.attention.query_norm.weight"),
    Same("model.layers.{layer}.self_attn.k_norm.weight", "stack.layers.{layer}.attention.key_norm.weight"),
)

FAMILY = Family(
    name="qwen3",
    architectures=list_decoder_classes("Qwen3", answers="transformer."),
    base={**BASE, "attention": {"name": "grouped_query", "qk_norm": "head"}},
    keys=(
        *DENSE,
        Equal("head_dim", "head_dim", default=128),
        Switch("attention_bias", "attention.bias", "all", "none", False),
    ),
    rules=(*BLOCKS, *PERCEPTRON, *PRE_NORMS, *QK_NORMS),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
