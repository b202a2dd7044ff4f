"""RoBERTa (arXiv:1907.11692): BERT with other training, one token type, and positions after that of padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import INT, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.converters.bert import BASE, BUFFERS, OLDER, TiedHead, VocabularyHead, map_body, map_sizes
from zoo.hub.family import Family, Form
from zoo.hub.keys import Key, map_activation
from zoo.hub.task_heads import ANSWERS, CHOICE, CLASSIFIER, TWO_STEPS
from zoo.hub.tensor_rules import Same


@final
@dataclass(frozen=True)
class PositionsAfterPadding(Key):
    """``max_position_embeddings``, which includes the unused positions up to ``pad_token_id``."""

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the number of positions, and the offset of the first."""
        rows = theirs.take("max_position_embeddings", INT, 512)
        padding = theirs.get("pad_token_id")
        padding = 1 if padding is None else padding
        if rows is None:
            return
        if not isinstance(padding, int) or not 0 <= padding < rows - 1:
            theirs.refuse("pad_token_id", f"must be from 0 to {rows - 2}, below max_position_embeddings - 1", padding)
            return
        ours.set("position.length", rows - padding - 1)
        ours.set("position.offset", padding + 1)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the size of the table, and the position of padding, which is the last unused one."""
        offset = ours.get("position.offset", 0)
        theirs["max_position_embeddings"] = ours.get("position.length", 0) + offset
        theirs["pad_token_id"] = offset - 1


FAMILY = Family(
    name="roberta",
    architectures={
        "RobertaForMaskedLM": Form(head=True),
        "RobertaModel": Form(head=False, pooler=True),
        "RobertaForSequenceClassification": Form(head=False, task=TWO_STEPS),
        "RobertaForMultipleChoice": Form(head=False, pooler=True, task=CHOICE),
        "RobertaForTokenClassification": Form(head=False, task=CLASSIFIER),
        "RobertaForQuestionAnswering": Form(head=False, task=ANSWERS),
    },
    base=BASE,
    keys=(
        *map_sizes(vocabulary=50265),
        PositionsAfterPadding(),
        map_activation("hidden_act", default="gelu"),  # the head always has GELU
        TiedHead(),
    ),
    rules=(
        *map_body("roberta."),
        Same("roberta.pooler.dense.*", "pooler.*"),
        Same("lm_head.dense.*", "head.map.*"),
        Same("lm_head.layer_norm.*", "head.norm.*"),
        VocabularyHead("lm_head.", ("head.bias", "head.weight")),
    ),
    prefix="roberta.",
    repeated={
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    left_out=BUFFERS,
    older=OLDER,
)
