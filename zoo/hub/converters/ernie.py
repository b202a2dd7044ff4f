"""ERNIE 1 to 3 (arXiv:1904.09223): BERT with another training objective; models with task ids are not supported."""

from __future__ import annotations

from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.converters.bert import FAMILY as BERT
from zoo.hub.family import rename_family

_KEYS = (*BERT.keys, Fixed("use_task_id", False), Passthrough(("task_type_vocab_size",)))

FAMILY = rename_family(BERT, "ernie", ("Bert", "Ernie"), _KEYS, prefix="ernie.")
