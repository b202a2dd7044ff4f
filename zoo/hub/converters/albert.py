"""ALBERT (arXiv:1909.11942): factorized embeddings, and layers that share their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import FLOAT, INT, MAX_LAYERS, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.converters.bert import BASE, BUFFERS, POSITIONS, TiedHead, VocabularyHead
from zoo.hub.family import Family, Form
from zoo.hub.keys import ACTIVATIONS, Equal, Key
from zoo.hub.task_heads import ANSWERS, CHOICE, CLASSIFIER, TaskHead, describe_linear
from zoo.hub.tensor_rules import Same

_LAYER, _OURS = "albert.encoder.albert_layer_groups.0.albert_layers.{layer}", "stack.layers.{layer}"


@final
@dataclass(frozen=True)
class SharedLayers(Key):
    """``num_hidden_layers`` passes through a single group of ``inner_group_num`` layers."""

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the number of layers, and the number of those with distinct weights."""
        passes, inner = theirs.take("num_hidden_layers", INT, 12), theirs.take("inner_group_num", INT, 1)
        if passes is None or inner is None:
            return
        if not 0 < passes * inner <= MAX_LAYERS:
            theirs.refuse("num_hidden_layers", f"must be from 1 to {MAX_LAYERS} with inner_group_num={inner}", passes)
            return
        ours.set("layers", passes * inner)
        ours.set("distinct_layers", inner)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the number of passes, and the size of the group."""
        theirs["inner_group_num"] = ours.get("distinct_layers")
        theirs["num_hidden_layers"] = ours.get("layers") // ours.get("distinct_layers")


FAMILY = Family(
    name="albert",
    architectures={
        "AlbertForMaskedLM": Form(head=True),
        "AlbertModel": Form(head=False, pooler=True),
        "AlbertForPreTraining": Form(
            head=True, pooler=True, task=TaskHead(describe_linear("sop_classifier.classifier"))
        ),
        "AlbertForSequenceClassification": Form(head=False, pooler=True, task=CLASSIFIER),
        "AlbertForMultipleChoice": Form(head=False, pooler=True, task=CHOICE),
        "AlbertForTokenClassification": Form(head=False, task=CLASSIFIER),
        "AlbertForQuestionAnswering": Form(head=False, task=ANSWERS),
    },
    base=BASE,
    keys=(
        Equal("vocab_size", "vocabulary", default=30000),
        Equal("embedding_size", "embedding.width", default=128),
        Equal("hidden_size", "dim", default=4096),
        SharedLayers(),
        Fixed("num_hidden_groups", 1),
        Equal("num_attention_heads", "heads", default=64),
        Equal("intermediate_size", "hidden", default=16384),
        Equal("type_vocab_size", "embedding.token_types", default=2, least=1),
        Equal("layer_norm_eps", "norm.eps", FLOAT, 1e-12),
        Equal("hidden_dropout_prob", "dropout", FLOAT, 0.0),
        Equal("attention_probs_dropout_prob", "attention.scores.dropout", FLOAT, 0.0),
        Fixed("position_embedding_type", "absolute"),
        POSITIONS,
        Equal("hidden_act", ("ffn.activation", "head.activation"), STR, "gelu_new", ACTIVATIONS),
        TiedHead(),
        Passthrough(
            (
                "classifier_dropout_prob",
                "down_scale_factor",
                "gap_size",
                "layers_to_keep",
                "net_structure_type",
                "num_memory_blocks",
            )
        ),
    ),
    rules=(
        Same("albert.embeddings.word_embeddings.weight", "embedding.table.weight"),
        Same("albert.embeddings.position_embeddings.weight", "stack.positions.0.table.weight"),
        Same("albert.embeddings.token_type_embeddings.weight", "embedding.types.weight"),
        Same("albert.embeddings.LayerNorm.*", "stack.input_norm.*"),
        Same("albert.encoder.embedding_hidden_mapping_in.*", "stack.project.*"),
        Same(f"{_LAYER}.attention.query.*", f"{_OURS}.attention.query.*"),
        Same(f"{_LAYER}.attention.key.*", f"{_OURS}.attention.key.*"),
        Same(f"{_LAYER}.attention.value.*", f"{_OURS}.attention.value.*"),
        Same(f"{_LAYER}.attention.dense.*", f"{_OURS}.attention.output.*"),
        Same(f"{_LAYER}.attention.LayerNorm.*", f"{_OURS}.residual.norms.0.*"),
        Same(f"{_LAYER}.ffn.*", f"{_OURS}.ffn.up.*"),
        Same(f"{_LAYER}.ffn_output.*", f"{_OURS}.ffn.down.*"),
        Same(f"{_LAYER}.full_layer_layer_norm.*", f"{_OURS}.residual.norms.1.*"),
        Same("albert.pooler.*", "pooler.*"),
        Same("predictions.dense.*", "head.map.*"),
        Same("predictions.LayerNorm.*", "head.norm.*"),
        VocabularyHead("predictions.", ("head.bias", "head.weight")),
    ),
    prefix="albert.",
    repeated={
        "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    },
    left_out=BUFFERS,
)
