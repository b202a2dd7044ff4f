"""BLOOM (arXiv:2211.05100): ALiBi positions, and a norm after the embeddings."""

from __future__ import annotations

from zoo.hub.computed_keys import Derived
from zoo.hub.config_views import BOOL, FLOAT
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.family import Family, Form
from zoo.hub.fused_rules import Grouped
from zoo.hub.keys import Equal, Synonyms, map_layers
from zoo.hub.task_heads import CLASSIFIER, SCORE, TaskHead, describe_linear
from zoo.hub.tensor_rules import Same

_LAYER, _OURS = "transformer.h.{layer}", "stack.layers.{layer}"

FAMILY = Family(
    name="bloom",
    architectures={
        "BloomForCausalLM": Form(head=True),
        "BloomModel": Form(head=False),
        "BloomForSequenceClassification": Form(head=False, task=SCORE),
        "BloomForTokenClassification": Form(head=False, task=CLASSIFIER),
        "BloomForQuestionAnswering": Form(head=False, task=TaskHead(describe_linear("qa_outputs", 2))),
    },
    base={
        "variant": "decoder",
        "input_norm": True,
        "attention": {"name": "multi_head", "bias": "all"},
        "ffn": {"name": "mlp", "bias": True, "activation": "gelu_tanh"},
        "norm": {"name": "layer"},
        "position": {"name": "alibi"},
        "residual": {"name": "pre"},
    },
    keys=(
        Equal("vocab_size", "vocabulary", default=250880),
        Synonyms(Equal("hidden_size", "dim", default=64), ("n_embed",)),
        Synonyms(map_layers("n_layer", default=2), ("num_hidden_layers",)),
        Synonyms(Equal("n_head", "heads", default=8), ("num_attention_heads",)),
        Derived("hidden", lambda ours: 4 * ours.get("dim")),
        Equal("layer_norm_epsilon", "norm.eps", FLOAT, 1e-5),
        Equal("hidden_dropout", "dropout", FLOAT, 0.0),
        Equal("attention_dropout", "attention.scores.dropout", FLOAT, 0.0),
        Equal("tie_word_embeddings", "head.tied", BOOL, True),
        Fixed("apply_residual_connection_post_layernorm", False),
        Passthrough(
            (
                "pretraining_tp",  # degree of tensor parallelism in pretraining
                "slow_but_exact",
                "seq_length",
                "offset_alibi",
                "attention_softmax_in_fp32",
                "masked_softmax_fusion",
                "bias_dropout_fusion",
                "skip_bias_add",
                "skip_bias_add_qkv",
                "unk_token_id",
            )
        ),
    ),
    rules=(
        Same("transformer.word_embeddings.weight", "embedding.table.weight"),
        Same("transformer.word_embeddings_layernorm.*", "stack.input_norm.*"),
        Same(f"{_LAYER}.input_layernorm.*", f"{_OURS}.residual.norms.0.*"),
        Grouped(
            f"{_LAYER}.self_attention.query_key_value.*",
            (f"{_OURS}.attention.query.*", f"{_OURS}.attention.key.*", f"{_OURS}.attention.value.*"),
        ),
        Same(f"{_LAYER}.self_attention.dense.*", f"{_OURS}.attention.output.*"),
        Same(f"{_LAYER}.post_attention_layernorm.*", f"{_OURS}.residual.norms.1.*"),
        Same(f"{_LAYER}.mlp.dense_h_to_4h.*", f"{_OURS}.ffn.up.*"),
        Same(f"{_LAYER}.mlp.dense_4h_to_h.*", f"{_OURS}.ffn.down.*"),
        Same("transformer.ln_f.*", "stack.final_norm.*"),
        Same("lm_head.weight", "head.weight"),
    ),
    prefix="transformer.",
    repeated={"lm_head.weight": "transformer.word_embeddings.weight"},
)
