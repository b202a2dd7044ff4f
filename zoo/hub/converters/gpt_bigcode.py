"""GPT-BigCode (StarCoder, arXiv:2305.06161): GPT-2 with multi-query attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from zoo.hub.computed_keys import Derived
from zoo.hub.config_views import BOOL, FLOAT, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.converters.gpt2 import FAMILY as GPT2
from zoo.hub.family import Family, Form
from zoo.hub.fused_rules import Grouped, Joined
from zoo.hub.keys import ACTIVATIONS, Equal, Key, Synonyms, map_layers
from zoo.hub.task_heads import CLASSIFIER, SCORE
from zoo.hub.tensor_rules import Same, Transposed


@final
@dataclass(frozen=True)
class MultiQuery(Key):
    """``multi_query``: one key head for all heads, or one for each."""

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the number of key heads, which newer files repeat in another option."""
        shared = theirs.take("multi_query", BOOL, True)
        theirs.take_any("num_key_value_heads")
        ours.set("attention.kv_heads", 1 if shared else ours.get("heads"))

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes whether there is a single key head; numbers between one and all cannot be expressed."""
        theirs["num_key_value_heads"] = ours.get("attention.kv_heads", ours.get("heads"))
        theirs["multi_query"] = theirs["num_key_value_heads"] == 1


FAMILY = Family(
    name="gpt_bigcode",
    architectures={
        "GPTBigCodeForCausalLM": Form(head=True),
        "GPTBigCodeModel": Form(head=False),
        "GPTBigCodeForSequenceClassification": Form(head=False, task=SCORE),
        "GPTBigCodeForTokenClassification": Form(head=False, task=CLASSIFIER),
    },
    base={**GPT2.base, "attention": {"name": "grouped_query", "bias": "all"}},
    keys=(
        Equal("vocab_size", "vocabulary", default=50257),
        Synonyms(Equal("n_positions", "position.length", default=1024), ("max_position_embeddings",)),
        Synonyms(Equal("n_embd", "dim", default=768), ("hidden_size",)),
        Synonyms(map_layers("n_layer", default=12), ("num_hidden_layers",)),
        Synonyms(Equal("n_head", "heads", default=12), ("num_attention_heads",)),
        Derived("hidden", lambda ours: 4 * ours.get("dim")),
        Equal("n_inner", "hidden", default="=hidden"),
        MultiQuery(),
        Equal("activation_function", "ffn.activation", STR, "gelu_pytorch_tanh", ACTIVATIONS),
        Equal("layer_norm_epsilon", "norm.eps", FLOAT, 1e-5),
        Equal("resid_pdrop", "dropout", FLOAT, 0.1),
        Equal("attn_pdrop", "attention.scores.dropout", FLOAT, 0.1),
        Equal("tie_word_embeddings", "head.tied", BOOL, True),
        Fixed("scale_attn_weights", True),
        Passthrough(
            (
                "embd_pdrop",
                "attention_softmax_in_fp32",
                "scale_attention_softmax_in_fp32",
                "summary_type",
                "summary_use_proj",
                "summary_activation",
                "summary_proj_to_labels",
                "summary_first_dropout",
            )
        ),
    ),
    rules=[
        Grouped(rule.theirs, rule.ours)
        if isinstance(rule, Joined)
        else Same(rule.theirs, rule.ours)
        if isinstance(rule, Transposed)
        else rule
        for rule in GPT2.rules
    ],
    prefix="transformer.",
    repeated=GPT2.repeated,
    left_out=GPT2.left_out,
)
