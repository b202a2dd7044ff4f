"""CamemBERT (arXiv:1911.03894): RoBERTa in French."""

from __future__ import annotations

from zoo.hub.converters.roberta import FAMILY as ROBERTA
from zoo.hub.family import alias
from zoo.hub.keys import absent_means

FAMILY = alias(ROBERTA, "camembert", ("Roberta", "Camembert"), absent_means(ROBERTA.keys, vocab_size=30522))
