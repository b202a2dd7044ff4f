"""BERT (arXiv:1810.04805), and the parts that it shares with RoBERTa and ELECTRA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from zoo.hub.config_views import BOOL, FLOAT, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.family import Family, Form
from zoo.hub.keys import ACTIVATIONS, Equal, Key, map_layers
from zoo.hub.name_patterns import Numbers
from zoo.hub.task_heads import ANSWERS, CHOICE, CLASSIFIER, TaskHead, describe_linear
from zoo.hub.tensor_rules import Rule, Same

BASE = {
    "variant": "encoder",
    "input_norm": True,
    "attention": {"name": "multi_head", "bias": "all"},
    "ffn": {"name": "mlp", "bias": True},
    "norm": {"name": "layer"},
    "position": {"name": "learned"},
    "residual": {"name": "post"},
    "head": {"transform": True, "bias": True},
}
POSITIONS = Equal("max_position_embeddings", "position.length", default=512)
OLDER = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
SENTENCES = TaskHead(describe_linear("cls.seq_relationship", 2))
"""Next-sentence prediction."""
BUFFERS = {"*embeddings.position_ids": "", "*embeddings.token_type_ids": ""}
"""Buffers in older files: consecutive numbers, or zeros."""


@final
@dataclass(frozen=True)
class TiedHead(Key):
    """``tie_word_embeddings``; must be read after the width of the embedding."""

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets whether the head is tied; an untied head requires an embedding as wide as the layers."""
        tied, width = theirs.take("tie_word_embeddings", BOOL, True), ours.get("embedding.width")
        if tied is False and width not in (None, ours.get("dim")):
            theirs.refuse("tie_word_embeddings", "must be true unless embedding_size is hidden_size", tied)
        ours.set("head.tied", tied)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes whether the head is tied; true if there is no head."""
        theirs["tie_word_embeddings"] = ours.get("head.tied", True)


@final
@dataclass(frozen=True)
class VocabularyHead(Rule):
    """Bias of the logits, and their matrix unless it is tied; an untied head has a second bias, which is not added."""

    def list_published_names(self, numbers: Numbers, ours: Sequence[Tensor]) -> list[str]:
        """Returns the names, with ``theirs`` as their prefix."""
        bias = f"{self.theirs}bias"
        return [bias] if len(ours) == 1 else [f"{self.theirs}decoder.bias", f"{self.theirs}decoder.weight", bias]

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensors without the unused bias."""
        return list(theirs[: len(ours)])

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensors with zeros for the unused bias."""
        return [*ours, *(torch.zeros_like(ours[0]) for _ in ours[1:])]


def map_sizes(vocabulary: int = 30522, dim: int = 768, heads: int = 12, hidden: int = 3072) -> tuple[Key, ...]:
    """Maps the common options, with their defaults."""
    return (
        Equal("vocab_size", "vocabulary", default=vocabulary),
        Equal("hidden_size", "dim", default=dim),
        map_layers("num_hidden_layers", default=12),
        Equal("num_attention_heads", "heads", default=heads),
        Equal("intermediate_size", "hidden", default=hidden),
        Equal("type_vocab_size", "embedding.token_types", default=2, least=1),
        Equal("layer_norm_eps", "norm.eps", FLOAT, 1e-12),
        Equal("hidden_dropout_prob", "dropout", FLOAT, 0.1),
        Equal("attention_probs_dropout_prob", "attention.scores.dropout", FLOAT, 0.1),
        Fixed("position_embedding_type", "absolute"),
    )


def map_body(prefix: str) -> tuple[Rule, ...]:
    """Maps embeddings and layers under a prefix."""
    layer, ours = f"{prefix}encoder.layer.{{layer}}", "stack.layers.{layer}"
    return (
        Same(f"{prefix}embeddings.word_embeddings.weight", "embedding.table.weight"),
        Same(f"{prefix}embeddings.position_embeddings.weight", "stack.positions.0.table.weight"),
        Same(f"{prefix}embeddings.token_type_embeddings.weight", "embedding.types.weight"),
        Same(f"{prefix}embeddings.LayerNorm.*", "stack.input_norm.*"),
        Same(f"{layer}.attention.self.query.*", f"{ours}.attention.query.*"),
        Same(f"{layer}.attention.self.key.*", f"{ours}.attention.key.*"),
        Same(f"{layer}.attention.self.value.*", f"{ours}.attention.value.*"),
        Same(f"{layer}.attention.output.dense.*", f"{ours}.attention.output.*"),
        Same(f"{layer}.attention.output.LayerNorm.*", f"{ours}.residual.norms.0.*"),
        Same(f"{layer}.intermediate.dense.*", f"{ours}.ffn.up.*"),
        Same(f"{layer}.output.dense.*", f"{ours}.ffn.down.*"),
        Same(f"{layer}.output.LayerNorm.*", f"{ours}.residual.norms.1.*"),
    )


FAMILY = Family(
    name="bert",
    architectures={
        "BertForMaskedLM": Form(head=True),
        "BertModel": Form(head=False, pooler=True),
        "BertForPreTraining": Form(head=True, pooler=True, task=SENTENCES),
        "BertForNextSentencePrediction": Form(head=False, pooler=True, task=SENTENCES),
        "BertForSequenceClassification": Form(head=False, pooler=True, task=CLASSIFIER),
        "BertForMultipleChoice": Form(head=False, pooler=True, task=CHOICE),
        "BertForTokenClassification": Form(head=False, task=CLASSIFIER),
        "BertForQuestionAnswering": Form(head=False, task=ANSWERS),
    },
    base=BASE,
    keys=(
        *map_sizes(),
        POSITIONS,
        Equal("hidden_act", ("ffn.activation", "head.activation"), STR, "gelu", ACTIVATIONS),
        TiedHead(),
        Passthrough(
            (
                "directionality",
                "pooler_fc_size",
                "pooler_num_attention_heads",
                "pooler_num_fc_layers",
                "pooler_size_per_head",
                "pooler_type",
            )
        ),
    ),
    rules=(
        *map_body("bert."),
        Same("bert.pooler.dense.*", "pooler.*"),
        Same("cls.predictions.transform.dense.*", "head.map.*"),
        Same("cls.predictions.transform.LayerNorm.*", "head.norm.*"),
        VocabularyHead("cls.predictions.", ("head.bias", "head.weight")),
    ),
    prefix="bert.",
    repeated={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    left_out=BUFFERS,
    older=OLDER,
)
