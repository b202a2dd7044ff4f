"""BART (arXiv:1910.13461)."""

from __future__ import annotations

from dataclasses import replace

from zoo.hub.config_views import BOOL, FLOAT
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.family import Family, Form
from zoo.hub.keys import Equal, Synonyms, map_activation, map_layers
from zoo.hub.task_heads import CLASSIFICATION, TaskHead, describe_linear
from zoo.hub.tensor_rules import Rule, Same


def _map_attention(theirs: str, ours: str) -> tuple[Rule, ...]:
    names = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}
    return tuple(Same(f"{theirs}.{name}.*", f"{ours}.{our}.*") for name, our in names.items())


def _map_stack(name: str, *norms: str) -> tuple[Rule, ...]:
    layer, ours = f"model.{name}.layers.{{layer}}", f"{name}.layers.{{layer}}"
    return (
        Same(f"model.{name}.embed_positions.weight", f"{name}.positions.0.table.weight"),
        Same(f"model.{name}.layernorm_embedding.*", f"{name}.input_norm.*"),
        *_map_attention(f"{layer}.self_attn", f"{ours}.attention"),
        *_map_attention(f"{layer}.encoder_attn", f"{ours}.cross"),
        Same(f"{layer}.fc1.*", f"{ours}.ffn.up.*"),
        Same(f"{layer}.fc2.*", f"{ours}.ffn.down.*"),
        *(Same(f"{layer}.{norm}.*", f"{ours}.residual.norms.{i}.*") for i, norm in enumerate(norms)),
    )


FAMILY = Family(
    name="bart",
    architectures={
        "BartForConditionalGeneration": Form(head=True),
        "BartModel": Form(head=False),
        "BartForSequenceClassification": Form(head=False, task=replace(CLASSIFICATION, labels=3)),
        "BartForQuestionAnswering": Form(head=False, task=TaskHead(describe_linear("qa_outputs", 2))),
    },
    base={
        "variant": "encoder_decoder",
        "input_norm": True,
        "attention": {"name": "multi_head", "bias": "all"},
        "ffn": {"name": "mlp", "bias": True},
        "norm": {"name": "layer", "eps": 1e-5},
        "position": {"name": "learned", "offset": 2},
        "residual": {"name": "post"},
    },
    keys=(
        Equal("vocab_size", "vocabulary", default=50265),
        Fixed("is_encoder_decoder", True),
        Synonyms(Equal("d_model", "dim", default=1024), ("hidden_size",)),
        Synonyms(map_layers("encoder_layers", "encoder.layers", default=12), ("num_hidden_layers",)),
        map_layers("decoder_layers", "decoder.layers", default=12),
        Synonyms(Equal("encoder_attention_heads", "encoder.heads", default=16), ("num_attention_heads",)),
        Equal("decoder_attention_heads", "decoder.heads", default=16),
        Equal("encoder_ffn_dim", "encoder.hidden", default=4096),
        Equal("decoder_ffn_dim", "decoder.hidden", default=4096),
        Equal("max_position_embeddings", "position.length", default=1024),
        Equal("scale_embedding", "embedding.scaled", BOOL, False),
        map_activation("activation_function", default="gelu"),
        Equal("dropout", "dropout", FLOAT, 0.1),
        Equal("attention_dropout", "attention.scores.dropout", FLOAT, 0.0),
        Equal("activation_dropout", "ffn.dropout", FLOAT, 0.0),
        # Without tying, transformers has three embedding tables since version 5, and two before.
        Fixed("tie_word_embeddings", True),
        Fixed("encoder_layerdrop", 0.0),
        Fixed("decoder_layerdrop", 0.0),
        Fixed("normalize_before", False),
        Fixed("normalize_embedding", True),
        Fixed("add_final_layer_norm", False),
        Fixed("add_bias_logits", False),
        Fixed("static_position_embeddings", False),
        Fixed("extra_pos_embeddings", 2),
        Passthrough(("init_std", "classif_dropout", "force_bos_token_to_be_generated", "_num_labels", "save_step")),
    ),
    rules=(
        Same("model.shared.weight", "embedding.table.weight"),
        *_map_stack("encoder", "self_attn_layer_norm", "final_layer_norm"),
        *_map_stack("decoder", "self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
    ),
    prefix="model.",
    repeated={
        "model.encoder.embed_tokens.weight": "model.shared.weight",
        "model.decoder.embed_tokens.weight": "model.shared.weight",
        "lm_head.weight": "model.shared.weight",
    },
    zero=("final_logits_bias",),
)
