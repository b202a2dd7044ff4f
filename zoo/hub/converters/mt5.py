"""mT5 (arXiv:2010.11934): T5 1.1 of a hundred languages, whose logits are never scaled."""

from __future__ import annotations

from zoo.hub.converters.t5 import FAMILY as T5
from zoo.hub.converters.t5 import Output, Perceptron
from zoo.hub.family import alias
from zoo.hub.keys import Key, absent_means

_OTHER: dict[type[Key], Key] = {Perceptron: Perceptron("gated-gelu"), Output: Output(scaled=False)}
_DEFAULTS = {"vocab_size": 250112, "d_ff": 1024, "num_layers": 8, "num_heads": 6}

FAMILY = alias(T5, "mt5", ("T5", "MT5"), [_OTHER.get(type(key), key) for key in absent_means(T5.keys, **_DEFAULTS)])
