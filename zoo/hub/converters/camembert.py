"""CamemBERT (arXiv:1911.03894): RoBERTa for French."""

from __future__ import annotations

from zoo.hub.converters.roberta import FAMILY as ROBERTA
from zoo.hub.family import rename_family
from zoo.hub.keys import replace_defaults

FAMILY = rename_family(ROBERTA, "camembert", ("Roberta", "Camembert"), replace_defaults(ROBERTA.keys, vocab_size=30522))
