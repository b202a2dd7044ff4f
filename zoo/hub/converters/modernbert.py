"""ModernBERT (arXiv:2412.13663): global layers among layers with a window, each type with its own rotary base."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from zoo.hub.computed_keys import Switch
from zoo.hub.config_views import BOOL, FLOAT, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Fixed, Passthrough, Redundant
from zoo.hub.family import Family, Form
from zoo.hub.fused_rules import Joined
from zoo.hub.keys import Equal, Key, map_activation, map_layers
from zoo.hub.rotary_keys import RotaryByType
from zoo.hub.task_heads import TaskHead, describe_linear
from zoo.hub.tensor_rules import Same
from zoo.hub.window_keys import FULL, SLIDING, LayerPattern, Window

_EVERY = "global_attn_every_n_layers"
_WINDOW = Window(
    "local_attention", default=128, pattern=LayerPattern(lambda i, every: i % every != 0, 3, _EVERY, least=1)
)


@final
@dataclass(frozen=True)
class TwoSidedWindow(Key):
    """A window whose width covers both sides: half of it on each side, in addition to the token itself."""

    window: Window = _WINDOW

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets our window, which is the distance from which on tokens are not seen."""
        self.window.read(theirs, ours)
        if (width := ours.get("attention.scores.window")) is not None:
            ours.set("attention.scores.window", width // 2 + 1)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the width, and for older readers the period of global layers, if there is one."""
        self.window.write(ours, theirs)
        is_global = [kind == FULL for kind in theirs["layer_types"]]
        if not all(is_global):
            theirs["local_attention"] = 2 * (theirs["local_attention"] - 1)
        periods = (n for n in range(1, len(is_global) + 1) if is_global == [i % n == 0 for i in range(len(is_global))])
        if (period := next(periods, None)) is not None:
            theirs[_EVERY] = period


_LAYER, _OURS = "model.layers.{layer}", "stack.layers.{layer}"

_MAP = {**describe_linear("head.dense", "dim"), "head.norm.weight": ("dim",), "head.norm.bias": ("dim",)}
_MAPPED = TaskHead(
    {**_MAP, **describe_linear("classifier")},
    only_if={"head.dense.bias": "classifier_bias", "head.norm.bias": "norm_bias"},
)
_CHOICE = replace(_MAPPED, tensors={**_MAP, **describe_linear("classifier", 1)})
"""The transform before the logits, as in the class for masked language modeling, and a linear layer."""

FAMILY = Family(
    name="modernbert",
    architectures={
        "ModernBertForMaskedLM": Form(head=True),
        "ModernBertModel": Form(head=False),
        "ModernBertForSequenceClassification": Form(head=False, task=_MAPPED),
        "ModernBertForTokenClassification": Form(head=False, task=_MAPPED),
        "ModernBertForQuestionAnswering": Form(head=False, task=_MAPPED),
        "ModernBertForMultipleChoice": Form(head=False, task=_CHOICE),
    },
    base={
        "variant": "encoder",
        "input_norm": True,
        "attention": {"name": "multi_head"},
        "ffn": {"name": "gated"},
        "norm": {"name": "layer"},
        "position": {"name": "rotary"},
        "residual": {"name": "pre", "first_norm": False},
        "head": {"transform": True},
    },
    keys=(
        Equal("vocab_size", "vocabulary", default=50368),
        Equal("hidden_size", "dim", default=768),
        map_layers("num_hidden_layers", default=22),
        Equal("num_attention_heads", "heads", default=12),
        Redundant("head_dim", "dim", over="heads"),  # used only for the rotary frequencies
        Equal("intermediate_size", "hidden", default=1152),
        Equal("norm_eps", "norm.eps", FLOAT, 1e-5),
        Equal("norm_bias", "norm.bias", BOOL, False),
        Switch("attention_bias", "attention.bias", "all", "none", False),
        Equal("attention_dropout", "attention.scores.dropout", FLOAT, 0.0),
        Equal("mlp_bias", "ffn.bias", BOOL, False),
        Equal("mlp_dropout", "ffn.dropout", FLOAT, 0.0),
        map_activation("hidden_activation", default="gelu"),
        Equal("tie_word_embeddings", "head.tied", BOOL, True),
        Equal("decoder_bias", "head.bias", BOOL, True),
        Equal("classifier_bias", "head.transform_bias", BOOL, False),
        map_activation("classifier_activation", "head.activation", "gelu"),
        TwoSidedWindow(),
        Fixed("rope_scaling", None),  # absent in the configs with the older names
        RotaryByType({FULL: ("global_rope_theta", 160000.0), SLIDING: ("local_rope_theta", 10000.0)}),
        Passthrough(
            (
                "max_position_embeddings",
                "position_embedding_type",
                "layer_norm_eps",
                "embedding_dropout",
                "initializer_cutoff_factor",
                "classifier_pooling",
                "deterministic_flash_attn",
                "reference_compile",
                "repad_logits_with_grad",
                "sparse_prediction",
                "sparse_pred_ignore_index",
            )
        ),
    ),
    rules=(
        Same("model.embeddings.tok_embeddings.weight", "embedding.table.weight"),
        Same("model.embeddings.norm.*", "stack.input_norm.*"),
        Same(f"{_LAYER}.attn_norm.*", f"{_OURS}.residual.norms.0.*"),
        Same(f"{_LAYER}.mlp_norm.*", f"{_OURS}.residual.norms.1.*"),
        Joined(
            f"{_LAYER}.attn.Wqkv.*",
            (f"{_OURS}.attention.query.*", f"{_OURS}.attention.key.*", f"{_OURS}.attention.value.*"),
        ),
        Same(f"{_LAYER}.attn.Wo.*", f"{_OURS}.attention.output.*"),
        Joined(f"{_LAYER}.mlp.Wi.*", (f"{_OURS}.ffn.gate.*", f"{_OURS}.ffn.up.*")),
        Same(f"{_LAYER}.mlp.Wo.*", f"{_OURS}.ffn.down.*"),
        Same("model.final_norm.*", "stack.final_norm.*"),
        Same("head.dense.*", "head.map.*"),
        Same("head.norm.*", "head.norm.*"),
        Same("decoder.weight", "head.weight"),
        Same("decoder.bias", "head.bias"),
    ),
    prefix="model.",
    repeated={"decoder.weight": "model.embeddings.tok_embeddings.weight"},
)
