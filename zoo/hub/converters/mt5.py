"""mT5 (arXiv:2010.11934): multilingual T5 1.1, without scaling of the logits."""

from __future__ import annotations

from zoo.hub.converters.t5 import FAMILY as T5
from zoo.hub.converters.t5 import FeedForward, HeadOptions
from zoo.hub.family import rename_family
from zoo.hub.keys import Key, replace_defaults

_OTHER: dict[type[Key], Key] = {FeedForward: FeedForward("gated-gelu"), HeadOptions: HeadOptions(scaled=False)}
_DEFAULTS = {"vocab_size": 250112, "d_ff": 1024, "num_layers": 8, "num_heads": 6}

FAMILY = rename_family(
    T5, "mt5", ("T5", "MT5"), [_OTHER.get(type(key), key) for key in replace_defaults(T5.keys, **_DEFAULTS)]
)
