"""data2vec (arXiv:2202.03555), its model of text: RoBERTa with other training."""

from __future__ import annotations

from zoo.hub.converters.roberta import FAMILY as ROBERTA
from zoo.hub.family import alias
from zoo.hub.keys import absent_means

FAMILY = alias(
    ROBERTA,
    "data2vec-text",
    ("Roberta", "Data2VecText"),
    absent_means(ROBERTA.keys, vocab_size=30522),
    prefix="data2vec_text.",
)
