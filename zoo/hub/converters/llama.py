"""Llama 2 and 3 (arXiv:2307.09288, arXiv:2407.21783), and other models in their format."""

from __future__ import annotations

from zoo.hub.computed_keys import Switch
from zoo.hub.config_views import BOOL, FLOAT
from zoo.hub.constant_keys import Passthrough
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, map_activation, map_layers, replace_defaults
from zoo.hub.rotary_keys import Rotary
from zoo.hub.tensor_rules import Rule, Same

BLOCKS: tuple[Rule, ...] = (
    Same("model.embed_tokens.weight", "embedding.table.weight"),
    Same("model.layers.{layer}.self_attn.q_proj.*", "stack.layers.{layer}.attention.query.*"),
    Same("model.layers.{layer}.self_attn.k_proj.*", "stack.layers.{layer}.attention.key.*"),
    Same("model.layers.{layer}.self_attn.v_proj.*", "stack.layers.{layer}.attention.value.*"),
    Same("model.layers.{layer}.self_attn.o_proj.*", "stack.layers.{layer}.attention.output.*"),
    Same("model.norm.weight", "stack.final_norm.weight"),
    Same("lm_head.weight", "head.weight"),
)
"""Embedding, attention, final norm and head, as named in Llama and its descendants."""
PERCEPTRON: tuple[Rule, ...] = (
    Same("model.layers.{layer}.mlp.gate_proj.*", "stack.layers.{layer}.ffn.gate.*"),
    Same("model.layers.{layer}.mlp.up_proj.*", "stack.layers.{layer}.ffn.up.*"),
    Same("model.layers.{layer}.mlp.down_proj.*", "stack.layers.{layer}.ffn.down.*"),
)
PRE_NORMS: tuple[Rule, ...] = (
    Same("model.layers.{layer}.input_layernorm.weight", "stack.layers.{layer}.residual.norms.0.weight"),
    Same("model.layers.{layer}.post_attention_layernorm.weight", "stack.layers.{layer}.residual.norms.1.weight"),
)
SIZES = (
    Equal("vocab_size", "vocabulary"),
    Equal("hidden_size", "dim"),
    map_layers("num_hidden_layers"),
    Equal("num_attention_heads", "heads"),
    Equal("num_key_value_heads", "attention.kv_heads", default="=heads"),
    Equal("rms_norm_eps", "norm.eps", FLOAT, 1e-6),
    Equal("attention_dropout", "attention.scores.dropout", FLOAT, 0.0),
    Passthrough(("max_position_embeddings",)),
)
BASE = {
    "variant": "decoder",
    "attention": {"name": "grouped_query"},
    "ffn": {"name": "gated"},
    "norm": {"name": "rms"},
    "position": {"name": "rotary"},
    "residual": {"name": "pre"},
}
REPEATED = {"lm_head.weight": "model.embed_tokens.weight"}
LEFT_OUT = {"*.rotary_emb.inv_freq": ""}
"""Rotary frequencies in older files, which follow from config.json."""

FAMILY = Family(
    name="llama",
    architectures=list_decoder_classes("Llama", answers="transformer."),
    base=BASE,
    keys=(
        *replace_defaults(SIZES, vocab_size=32000, hidden_size=4096, num_hidden_layers=32, num_attention_heads=32),
        Equal("intermediate_size", "hidden", default=11008),
        Equal("head_dim", "head_dim", default=None),
        Equal("tie_word_embeddings", "head.tied", BOOL, False),
        map_activation("hidden_act", default="silu"),
        Switch("attention_bias", "attention.bias", "all", "none", False),
        Equal("mlp_bias", "ffn.bias", BOOL, False),
        Passthrough(("pretraining_tp",)),  # degree of tensor parallelism in pretraining
        Rotary(),
    ),
    rules=(*BLOCKS, *PERCEPTRON, *PRE_NORMS),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
