"""XLM-R (arXiv:1911.02116): RoBERTa of a hundred languages."""

from __future__ import annotations

from zoo.hub.converters.roberta import FAMILY as ROBERTA
from zoo.hub.family import alias
from zoo.hub.keys import absent_means

FAMILY = alias(ROBERTA, "xlm-roberta", ("Roberta", "XLMRoberta"), absent_means(ROBERTA.keys, vocab_size=30522))
