"""GPT-NeoX (arXiv:2204.06745) and Pythia (arXiv:2304.01373)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from zoo.hub.computed_keys import Switch
from zoo.hub.config_views import BOOL, FLOAT, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Passthrough, Redundant
from zoo.hub.family import Family, Form
from zoo.hub.fused_rules import Joined
from zoo.hub.keys import Equal, Key, map_activation, map_layers
from zoo.hub.rotary_keys import Rotary
from zoo.hub.task_heads import CLASSIFIER, SCORE, TaskHead, describe_linear
from zoo.hub.tensor_rules import Same

_NEWER = Rotary(fraction=0.25)
_LAYER, _OURS = "gpt_neox.layers.{layer}", "stack.layers.{layer}"


@final
@dataclass(frozen=True)
class NeoxRotary(Key):
    """Rotary positions, whose base and fraction had other names before version 5 of transformers."""

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Reads the newer names, with the older ones as defaults."""
        base = theirs.take("rotary_emb_base", FLOAT, _NEWER.base)
        fraction = theirs.take("rotary_pct", FLOAT, _NEWER.fraction)
        if base is not None and fraction is not None:
            replace(_NEWER, base=base, fraction=fraction).read(theirs, ours)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes all names."""
        _NEWER.write(ours, theirs)
        theirs["rotary_emb_base"] = theirs["rope_theta"]
        theirs["rotary_pct"] = theirs["partial_rotary_factor"]


FAMILY = Family(
    name="gpt_neox",
    architectures={
        "GPTNeoXForCausalLM": Form(head=True),
        "GPTNeoXModel": Form(head=False),
        "GPTNeoXForSequenceClassification": Form(head=False, task=SCORE),
        "GPTNeoXForTokenClassification": Form(head=False, task=CLASSIFIER),
        "GPTNeoXForQuestionAnswering": Form(head=False, task=TaskHead(describe_linear("qa_outputs", 2))),
    },
    base={
        "variant": "decoder",
        "attention": {"name": "multi_head"},
        "ffn": {"name": "mlp", "bias": True},
        "norm": {"name": "layer"},
        "position": {"name": "rotary"},
    },
    keys=(
        Equal("vocab_size", "vocabulary", default=50432),
        Equal("hidden_size", "dim", default=6144),
        map_layers("num_hidden_layers", default=44),
        Equal("num_attention_heads", "heads", default=64),
        Redundant("head_dim", "dim", over="heads"),  # used only for the rotary frequencies
        Equal("intermediate_size", "hidden", default=24576),
        map_activation("hidden_act", default="gelu"),
        Equal("layer_norm_eps", "norm.eps", FLOAT, 1e-5),
        Equal("hidden_dropout", "dropout", FLOAT, 0.0),
        Equal("attention_dropout", "attention.scores.dropout", FLOAT, 0.0),
        Switch("attention_bias", "attention.bias", "all", "none", True),
        Switch("use_parallel_residual", "residual", {"name": "parallel", "norms": "each"}, {"name": "pre"}, True),
        Equal("tie_word_embeddings", "head.tied", BOOL, False),
        NeoxRotary(),
        Passthrough(("max_position_embeddings",)),
    ),
    rules=(
        Same("gpt_neox.embed_in.weight", "embedding.table.weight"),
        Joined(
            f"{_LAYER}.attention.query_key_value.*",
            (f"{_OURS}.attention.query.*", f"{_OURS}.attention.key.*", f"{_OURS}.attention.value.*"),
            by_head=True,
        ),
        Same(f"{_LAYER}.attention.dense.*", f"{_OURS}.attention.output.*"),
        Same(f"{_LAYER}.mlp.dense_h_to_4h.*", f"{_OURS}.ffn.up.*"),
        Same(f"{_LAYER}.mlp.dense_4h_to_h.*", f"{_OURS}.ffn.down.*"),
        Same(f"{_LAYER}.input_layernorm.*", f"{_OURS}.residual.norms.0.*"),
        Same(f"{_LAYER}.post_attention_layernorm.*", f"{_OURS}.residual.norms.1.*"),
        Same("gpt_neox.final_layer_norm.*", "stack.final_norm.*"),
        Same("embed_out.weight", "head.weight"),
    ),
    prefix="gpt_neox.",
    repeated={"embed_out.weight": "gpt_neox.embed_in.weight"},
    left_out={"*.attention.bias": "", "*.attention.masked_bias": "", "*.rotary_emb.inv_freq": ""},
)
