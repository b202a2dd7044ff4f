"""XLM-R (arXiv:1911.02116): multilingual RoBERTa."""

from __future__ import annotations

from zoo.hub.converters.roberta import FAMILY as ROBERTA
from zoo.hub.family import rename_family
from zoo.hub.keys import replace_defaults

FAMILY = rename_family(
    ROBERTA, "xlm-roberta", ("Roberta", "XLMRoberta"), replace_defaults(ROBERTA.keys, vocab_size=30522)
)
