"""GPT-2 (Radford et al. 2019)."""

from __future__ import annotations

from zoo.hub.computed_keys import Derived
from zoo.hub.config_views import BOOL, FLOAT
from zoo.hub.constant_keys import Fixed, Passthrough, WriteOnly
from zoo.hub.family import Family, Form
from zoo.hub.fused_rules import Joined
from zoo.hub.keys import Equal, Synonyms, map_activation, map_layers
from zoo.hub.task_heads import CLASSIFIER, SCORE, TaskHead, describe_linear
from zoo.hub.tensor_rules import Same, Transposed

_LAYER, _OURS = "transformer.h.{layer}", "stack.layers.{layer}"

FAMILY = Family(
    name="gpt2",
    architectures={
        "GPT2LMHeadModel": Form(head=True),
        "GPT2Model": Form(head=False),
        "GPT2DoubleHeadsModel": Form(head=True, task=TaskHead(describe_linear("multiple_choice_head.summary", 1))),
        "GPT2ForSequenceClassification": Form(head=False, task=SCORE),
        "GPT2ForTokenClassification": Form(head=False, task=CLASSIFIER),
        "GPT2ForQuestionAnswering": Form(head=False, task=TaskHead(describe_linear("qa_outputs", 2))),
    },
    base={
        "variant": "decoder",
        "attention": {"name": "multi_head", "bias": "all"},
        "ffn": {"name": "mlp", "bias": True},
        "norm": {"name": "layer"},
        "position": {"name": "learned"},
        "residual": {"name": "pre"},
    },
    keys=(
        Equal("vocab_size", "vocabulary"),
        Synonyms(Equal("n_positions", "position.length"), ("max_position_embeddings",)),
        Synonyms(Equal("n_embd", "dim"), ("hidden_size",)),
        Synonyms(map_layers("n_layer"), ("num_hidden_layers",)),
        Synonyms(Equal("n_head", "heads"), ("num_attention_heads",)),
        Derived("hidden", lambda ours: 4 * ours.get("dim")),
        Equal("n_inner", "hidden", default="=hidden"),
        map_activation("activation_function", default="gelu_new"),
        Equal("layer_norm_epsilon", "norm.eps", FLOAT, 1e-5),
        Equal("resid_pdrop", "dropout", FLOAT, 0.1),
        Equal("attn_pdrop", "attention.scores.dropout", FLOAT, 0.1),
        Equal("tie_word_embeddings", "head.tied", BOOL, True),
        Fixed("scale_attn_weights", True),
        Fixed("scale_attn_by_inverse_layer_idx", False),
        WriteOnly("n_ctx", "position.length"),
        Passthrough(
            (
                "embd_pdrop",
                "n_special",
                "predict_special_tokens",
                "reorder_and_upcast_attn",
                "summary_type",
                "summary_use_proj",
                "summary_activation",
                "summary_proj_to_labels",
                "summary_first_dropout",
                "summary_last_dropout",
            )
        ),
    ),
    rules=(
        Same("transformer.wte.weight", "embedding.table.weight"),
        Same("transformer.wpe.weight", "stack.positions.0.table.weight"),
        Same(f"{_LAYER}.ln_1.*", f"{_OURS}.residual.norms.0.*"),
        Same(f"{_LAYER}.ln_2.*", f"{_OURS}.residual.norms.1.*"),
        Joined(
            f"{_LAYER}.attn.c_attn.*",
            (f"{_OURS}.attention.query.*", f"{_OURS}.attention.key.*", f"{_OURS}.attention.value.*"),
            transposed=True,
        ),
        Transposed(f"{_LAYER}.attn.c_proj.*", f"{_OURS}.attention.output.*"),
        Transposed(f"{_LAYER}.mlp.c_fc.*", f"{_OURS}.ffn.up.*"),
        Transposed(f"{_LAYER}.mlp.c_proj.*", f"{_OURS}.ffn.down.*"),
        Same("transformer.ln_f.*", "stack.final_norm.*"),
        Same("lm_head.weight", "head.weight"),
    ),
    prefix="transformer.",
    repeated={"lm_head.weight": "transformer.wte.weight"},
    left_out={"*.attn.bias": "", "*.attn.masked_bias": ""},
)
