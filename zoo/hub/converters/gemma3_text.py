"""Gemma 3 (arXiv:2503.19786), text models: five layers with a window for each global one, which has a larger base."""

from __future__ import annotations

from zoo.hub.config_views import FLOAT
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.converters.gemma import GEMMA
from zoo.hub.converters.gemma2 import AROUND, COMMON_2
from zoo.hub.converters.llama import BLOCKS, LEFT_OUT, PERCEPTRON, REPEATED
from zoo.hub.converters.qwen3 import QK_NORMS
from zoo.hub.family import Family, list_decoder_classes
from zoo.hub.keys import Equal, replace_defaults
from zoo.hub.rotary_keys import RotaryByType
from zoo.hub.window_keys import FULL, SLIDING, LayerPattern, Window
from zoo.registry.options import Maybe

FAMILY = Family(
    name="gemma3_text",
    architectures=list_decoder_classes("Gemma3", body="Gemma3TextModel"),
    base={
        **GEMMA,
        "attention": {"name": "grouped_query", "qk_norm": "head"},
        "residual": {"name": "sandwich"},
    },
    keys=(
        *replace_defaults(COMMON_2, vocab_size=262208),
        Fixed("attn_logit_softcapping", None),
        Equal("final_logit_softcapping", "head.softcap", Maybe(FLOAT), None),
        Window(default=4096, pattern=LayerPattern.from_period(6, "sliding_window_pattern")),
        Passthrough(("_sliding_window_pattern",)),
        RotaryByType({FULL: ("rope_theta", 1e6), SLIDING: ("rope_local_base_freq", 1e4)}),
    ),
    rules=(*BLOCKS, *PERCEPTRON, *AROUND, *QK_NORMS),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
