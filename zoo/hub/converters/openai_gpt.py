"""GPT (Radford et al. 2018)."""

from __future__ import annotations

from zoo.hub.computed_keys import Derived
from zoo.hub.config_views import BOOL, FLOAT, STR
from zoo.hub.constant_keys import Passthrough, WriteOnly
from zoo.hub.family import Family, Form
from zoo.hub.fused_rules import Joined
from zoo.hub.keys import Equal, Synonyms, map_layers
from zoo.hub.task_heads import SCORE, TaskHead, describe_linear
from zoo.hub.tensor_rules import Same, Transposed

_LAYER, _OURS = "transformer.h.{layer}", "stack.layers.{layer}"

FAMILY = Family(
    name="openai-gpt",
    architectures={
        "OpenAIGPTLMHeadModel": Form(head=True),
        "OpenAIGPTModel": Form(head=False),
        "OpenAIGPTDoubleHeadsModel": Form(head=True, task=TaskHead(describe_linear("multiple_choice_head.summary", 1))),
        "OpenAIGPTForSequenceClassification": Form(head=False, task=SCORE),
    },
    base={
        "variant": "decoder",
        "attention": {"name": "multi_head", "bias": "all"},
        "ffn": {"name": "mlp", "bias": True},
        "norm": {"name": "layer"},
        "position": {"name": "learned"},
        "residual": {"name": "post"},
    },
    keys=(
        Equal("vocab_size", "vocabulary", default=40478),
        Synonyms(Equal("n_positions", "position.length", default=512), ("max_position_embeddings",)),
        Synonyms(Equal("n_embd", "dim", default=768), ("hidden_size",)),
        Synonyms(map_layers("n_layer", default=12), ("num_hidden_layers",)),
        Synonyms(Equal("n_head", "heads", default=12), ("num_attention_heads",)),
        Derived("hidden", lambda ours: 4 * ours.get("dim")),
        # In this family, gelu is the tanh approximation.
        Equal(
            "afn",
            "ffn.activation",
            STR,
            "gelu",
            {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"},
        ),
        Equal("layer_norm_epsilon", "norm.eps", FLOAT, 1e-5),
        Equal("resid_pdrop", "dropout", FLOAT, 0.1),
        Equal("attn_pdrop", "attention.scores.dropout", FLOAT, 0.1),
        Equal("tie_word_embeddings", "head.tied", BOOL, True),
        WriteOnly("n_ctx", "position.length"),
        Passthrough(
            (
                "embd_pdrop",
                "n_special",
                "predict_special_tokens",
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
        Same("transformer.tokens_embed.weight", "embedding.table.weight"),
        Same("transformer.positions_embed.weight", "stack.positions.0.table.weight"),
        Joined(
            f"{_LAYER}.attn.c_attn.*",
            (f"{_OURS}.attention.query.*", f"{_OURS}.attention.key.*", f"{_OURS}.attention.value.*"),
            transposed=True,
        ),
        Transposed(f"{_LAYER}.attn.c_proj.*", f"{_OURS}.attention.output.*"),
        Same(f"{_LAYER}.ln_1.*", f"{_OURS}.residual.norms.0.*"),
        Transposed(f"{_LAYER}.mlp.c_fc.*", f"{_OURS}.ffn.up.*"),
        Transposed(f"{_LAYER}.mlp.c_proj.*", f"{_OURS}.ffn.down.*"),
        Same(f"{_LAYER}.ln_2.*", f"{_OURS}.residual.norms.1.*"),
        Same("lm_head.weight", "head.weight"),
    ),
    prefix="transformer.",
    repeated={"lm_head.weight": "transformer.tokens_embed.weight"},
    left_out={"*.attn.bias": "", "*position_ids": ""},
)
