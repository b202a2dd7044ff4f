"""Falcon (arXiv:2311.16867): parallel sublayers and shared key heads; models with rotary positions only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from zoo.hub.computed_keys import Derived
from zoo.hub.config_views import BOOL, FLOAT, INT, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.family import Family, Form
from zoo.hub.fused_rules import Grouped
from zoo.hub.keys import Equal, Key, Synonyms, map_activation, map_layers
from zoo.hub.rotary_keys import Rotary
from zoo.hub.task_heads import CLASSIFIER, SCORE, TaskHead, describe_linear
from zoo.hub.tensor_rules import Same, SingleOrPair

_LAYER, _OURS = "transformer.h.{layer}", "stack.layers.{layer}"


@final
@dataclass(frozen=True)
class LayerLayout(Key):
    """Number of key heads and norms of a layer, which only the newer architecture (40B) states explicitly."""

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Reads the options of both architectures; must be read after the heads."""
        newer = theirs.take("new_decoder_architecture", BOOL, False)
        shared = theirs.take("multi_query", BOOL, True)
        given = [theirs.take(name, INT, None) for name in ("num_kv_heads", "n_head_kv")]
        keys = next((number for number in given if number is not None), ours.get("heads"))
        norms = theirs.take("num_ln_in_parallel_attn", INT, 2)
        if norms not in (None, 1, 2):
            theirs.refuse("num_ln_in_parallel_attn", "must be 1 or 2", norms)
        ours.set("attention.kv_heads", keys if newer else 1 if shared else ours.get("heads"))
        ours.set("residual.norms", "each" if newer and norms == 2 else "one")

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the older architecture if it can express the model."""
        keys, heads = ours.get("attention.kv_heads", ours.get("heads")), ours.get("heads")
        each = ours.get("residual.norms") == "each"
        theirs["new_decoder_architecture"] = newer = each or keys not in (1, heads)
        theirs["multi_query"] = keys == 1 and not newer
        theirs["num_kv_heads"] = keys
        theirs["num_ln_in_parallel_attn"] = (2 if each else 1) if newer else None


FAMILY = Family(
    name="falcon",
    architectures={
        "FalconForCausalLM": Form(head=True),
        "FalconModel": Form(head=False),
        "FalconForSequenceClassification": Form(head=False, task=SCORE),
        "FalconForTokenClassification": Form(head=False, task=CLASSIFIER),
        "FalconForQuestionAnswering": Form(head=False, task=TaskHead(describe_linear("qa_outputs", 2))),
    },
    base={
        "variant": "decoder",
        "attention": {"name": "grouped_query"},
        "ffn": {"name": "mlp"},
        "norm": {"name": "layer"},
        "position": {"name": "rotary"},
        "residual": {"name": "parallel"},
    },
    keys=(
        Equal("vocab_size", "vocabulary", default=65024),
        Synonyms(Equal("hidden_size", "dim", default=4544), ("n_embed",)),
        Synonyms(map_layers("num_hidden_layers", default=32), ("n_layer",)),
        Synonyms(Equal("num_attention_heads", "heads", default=71), ("n_head",)),
        LayerLayout(),
        Derived("hidden", lambda ours: 4 * ours.get("dim")),
        Equal("ffn_hidden_size", "hidden", default="=hidden"),
        map_activation("activation", default="gelu"),
        Equal("bias", "ffn.bias", BOOL, False),
        Derived("attention.bias", lambda ours: "all" if ours.get("ffn.bias") else "none"),
        Equal("layer_norm_epsilon", "norm.eps", FLOAT, 1e-5),
        Equal("hidden_dropout", "dropout", FLOAT, 0.0),
        Equal("attention_dropout", "attention.scores.dropout", FLOAT, 0.0),
        Equal("tie_word_embeddings", "head.tied", BOOL, True),
        Fixed("parallel_attn", True),
        Fixed("alibi", False),
        Rotary(),
        Passthrough(("max_position_embeddings", "apply_residual_connection_post_layernorm")),
    ),
    rules=(
        Same("transformer.word_embeddings.weight", "embedding.table.weight"),
        SingleOrPair(
            f"{_LAYER}.input_layernorm.*",
            (f"{_OURS}.residual.norms.0.*", f"{_OURS}.residual.norms.1.*"),
            narrow=(f"{_LAYER}.ln_attn.*", f"{_LAYER}.ln_mlp.*"),
        ),
        Grouped(
            f"{_LAYER}.self_attention.query_key_value.*",
            (f"{_OURS}.attention.query.*", f"{_OURS}.attention.key.*", f"{_OURS}.attention.value.*"),
        ),
        Same(f"{_LAYER}.self_attention.dense.*", f"{_OURS}.attention.output.*"),
        Same(f"{_LAYER}.mlp.dense_h_to_4h.*", f"{_OURS}.ffn.up.*"),
        Same(f"{_LAYER}.mlp.dense_4h_to_h.*", f"{_OURS}.ffn.down.*"),
        Same("transformer.ln_f.*", "stack.final_norm.*"),
        Same("lm_head.weight", "head.weight"),
    ),
    prefix="transformer.",
    repeated={"lm_head.weight": "transformer.word_embeddings.weight"},
)
