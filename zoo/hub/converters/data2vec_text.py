"""data2vec (arXiv:2202.03555), text models: RoBERTa with another training objective."""

from __future__ import annotations

from zoo.hub.converters.roberta import FAMILY as ROBERTA
from zoo.hub.family import rename_family
from zoo.hub.keys import replace_defaults

FAMILY = rename_family(
    ROBERTA,
    "data2vec-text",
    ("Roberta", "Data2VecText"),
    replace_defaults(ROBERTA.keys, vocab_size=30522),
    prefix="data2vec_text.",
)
