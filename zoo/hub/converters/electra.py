"""ELECTRA (arXiv:2003.10555): the generator with its head, the discriminator without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import INT, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Passthrough
from zoo.hub.converters.bert import BASE, BUFFERS, OLDER, POSITIONS, TiedHead, map_body, map_sizes
from zoo.hub.family import Family, Form
from zoo.hub.keys import Key, map_activation
from zoo.hub.task_heads import ANSWERS, CLASSIFIER, TWO_STEPS, TaskHead, describe_linear
from zoo.hub.tensor_rules import Same


@final
@dataclass(frozen=True)
class EmbeddingSize(Key):
    """``embedding_size``; there is a projection to ``hidden_size`` only if the sizes differ."""

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the width of the embedding, or null if it is that of the layers."""
        width = theirs.take("embedding_size", INT, 128)
        ours.set("embedding.width", None if width == ours.get("dim") else width)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the width of the embedding."""
        theirs["embedding_size"] = ours.get("embedding.width") or ours.get("dim")


DISCRIMINATOR = TaskHead(
    {
        **describe_linear("discriminator_predictions.dense", "dim"),
        **describe_linear("discriminator_predictions.dense_prediction", 1),
    }
)
"""Detects replaced tokens."""
SUMMARY = TaskHead({**describe_linear("sequence_summary.summary", "dim"), **describe_linear("classifier", 1)})
"""Scores rows, for multiple choice."""

FAMILY = Family(
    name="electra",
    architectures={
        "ElectraForMaskedLM": Form(head=True),
        "ElectraModel": Form(head=False),
        "ElectraForPreTraining": Form(head=False, task=DISCRIMINATOR),
        "ElectraForSequenceClassification": Form(head=False, task=TWO_STEPS),
        "ElectraForMultipleChoice": Form(head=False, task=SUMMARY),
        "ElectraForTokenClassification": Form(head=False, task=CLASSIFIER),
        "ElectraForQuestionAnswering": Form(head=False, task=ANSWERS),
    },
    base=BASE,
    keys=(
        *map_sizes(dim=256, heads=4, hidden=1024),
        POSITIONS,
        EmbeddingSize(),
        TiedHead(),
        map_activation("hidden_act", default="gelu"),  # the head always has GELU
        Passthrough(
            (
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
        *map_body("electra."),
        Same("electra.embeddings_project.*", "stack.project.*"),
        Same("generator_predictions.dense.*", "head.map.*"),
        Same("generator_predictions.LayerNorm.*", "head.norm.*"),
        Same("generator_lm_head.weight", "head.weight"),
        Same("generator_lm_head.bias", "head.bias"),
    ),
    prefix="electra.",
    repeated={"generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"},
    left_out=BUFFERS,
    older=OLDER,
)
