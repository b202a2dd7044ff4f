"""Gemma 3 (arXiv:2503.19786), its text models: five layers with a window to one that sees all and turns more slowly."""

from __future__ import annotations

from zoo.hub.config_sides import FLOAT
from zoo.hub.converters.gemma import GEMMA
from zoo.hub.converters.gemma2 import AROUND, COMMON_2
from zoo.hub.converters.llama import BLOCKS, LEFT_OUT, PERCEPTRON, REPEATED
from zoo.hub.converters.qwen3 import QK_NORMS
from zoo.hub.family import Family, decoder_classes
from zoo.hub.keys import Equal, Fixed, Idle, absent_means
from zoo.hub.rotary_keys import RotaryByType
from zoo.hub.window_keys import FULL, SLIDING, Window, all_but_every
from zoo.registry.options import Maybe

FAMILY = Family(
    name="gemma3_text",
    architectures=decoder_classes("Gemma3", body="Gemma3TextModel"),
    base={
        **GEMMA,
        "attention": {"name": "grouped_query", "qk_norm": "head"},
        "residual": {"name": "sandwich"},
    },
    keys=(
        *absent_means(COMMON_2, vocab_size=262208),
        Fixed("attn_logit_softcapping", None),
        Equal("final_logit_softcapping", "head.softcap", Maybe(FLOAT), None),
        Window(default=4096, pattern=all_but_every(6, "sliding_window_pattern")),
        Idle(("_sliding_window_pattern",)),
        RotaryByType({FULL: ("rope_theta", 1e6), SLIDING: ("rope_local_base_freq", 1e4)}),
    ),
    rules=(*BLOCKS, *PERCEPTRON, *AROUND, *QK_NORMS),
    prefix="model.",
    repeated=REPEATED,
    left_out=LEFT_OUT,
)
