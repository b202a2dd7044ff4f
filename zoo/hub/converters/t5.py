"""T5 (arXiv:1910.10683) and T5 1.1, which has gated feed-forward networks and an untied head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from torch import Tensor

from zoo.hub.config_views import BOOL, FLOAT, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Fixed, Passthrough
from zoo.hub.family import Family, Form
from zoo.hub.keys import ACTIVATIONS, Equal, Key, Synonyms, map_layers
from zoo.hub.name_patterns import Numbers, fill_pattern
from zoo.hub.task_heads import ANSWERS, CLASSIFICATION
from zoo.hub.tensor_rules import Rule, Same


@final
@dataclass(frozen=True)
class FeedForward(Key):
    """``feed_forward_proj``: an activation function, optionally with the prefix ``gated-``; newer options override it.

    Args:
        default: value if the option is absent.
    """

    default: str = "relu"

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the component and its activation, which is the tanh approximation for ``gated-gelu``."""
        projection = theirs.take("feed_forward_proj", STR, self.default) or ""
        gate, _, name = projection.rpartition("-")
        if gate not in ("", "gated"):
            rule = "must be an activation function, optionally with the prefix gated-"
            theirs.refuse("feed_forward_proj", rule, projection)
        name = theirs.take("dense_act_fn", STR, "gelu_new" if projection == "gated-gelu" else name)
        gated = theirs.take("is_gated_act", BOOL, gate == "gated")
        if name is not None and name not in ACTIVATIONS:
            theirs.refuse("dense_act_fn", f"must be one of {', '.join(ACTIVATIONS)}", name)
            return
        ours.set("ffn.name", "gated" if gated else "mlp")
        ours.set("ffn.activation", ACTIVATIONS.get(name))

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes all three options."""
        function, gated = ours.get("ffn.activation"), ours.get("ffn.name") == "gated"
        name = next((their for their, our in ACTIVATIONS.items() if our == function), "relu")
        short = "gelu" if name == "gelu_new" else name
        theirs["feed_forward_proj"] = f"gated-{short}" if gated else name
        theirs["dense_act_fn"], theirs["is_gated_act"] = name, gated


@final
@dataclass(frozen=True)
class HeadOptions(Key):
    """Tying of the head and scaling of the logits, which were one option before version 5 of transformers.

    Since then, ``tie_word_embeddings`` is always true in a file, and only the tensors show whether the head is tied.

    Args:
        scaled: whether logits are scaled, whatever the options are; None if the options decide.
    """

    scaled: bool | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Reads both options, and looks for a tensor of the head."""
        tied = theirs.take("tie_word_embeddings", BOOL, True)
        scaled = theirs.take("scale_decoder_outputs", BOOL, tied) if self.scaled is None else self.scaled
        if scaled and tied is False:
            theirs.refuse("scale_decoder_outputs", "must be false if tie_word_embeddings is false", scaled)
        if not scaled and theirs.tensors is not None:
            tied = tied and "lm_head.weight" not in theirs.tensors
        ours.set("head.tied", tied)
        ours.set("head.scaled", scaled)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes both options; true if there is no head."""
        theirs["tie_word_embeddings"] = ours.get("head.tied", True)
        if self.scaled is None:
            theirs["scale_decoder_outputs"] = ours.get("head.scaled", True)


@final
@dataclass(frozen=True)
class GatedInput(Rule):
    """Input projections of the feed-forward network: ``wi_0`` and ``wi_1`` with a gate, else ``wi``."""

    def list_published_names(self, numbers: Numbers, ours: Sequence[Tensor]) -> list[str]:
        """Returns one name, or two with a gate."""
        name = fill_pattern(self.theirs, numbers)
        return [name] if len(ours) == 1 else [name.replace(".wi.", f".wi_{i}.") for i in range(2)]

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensors unchanged."""
        return list(theirs)

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensors unchanged."""
        return list(ours)


def _map_attention(theirs: str, ours: str) -> tuple[Rule, ...]:
    names = {"q": "query", "k": "key", "v": "value", "o": "output"}
    return tuple(Same(f"{theirs}.{short}.weight", f"{ours}.{name}.weight") for short, name in names.items())


def _map_stack(name: str, *, cross: bool) -> tuple[Rule, ...]:
    block, ours = f"{name}.block.{{layer}}.layer", f"{name}.layers.{{layer}}"
    norms = 3 if cross else 2
    return (
        Same(
            f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight", f"{name}.positions.0.table.weight"
        ),
        *_map_attention(f"{block}.0.SelfAttention", f"{ours}.attention"),
        *(_map_attention(f"{block}.1.EncDecAttention", f"{ours}.cross") if cross else ()),
        GatedInput(
            f"{block}.{norms - 1}.DenseReluDense.wi.weight", (f"{ours}.ffn.gate.weight", f"{ours}.ffn.up.weight")
        ),
        Same(f"{block}.{norms - 1}.DenseReluDense.wo.weight", f"{ours}.ffn.down.weight"),
        *(Same(f"{block}.{i}.layer_norm.weight", f"{ours}.residual.norms.{i}.weight") for i in range(norms)),
        Same(f"{name}.final_layer_norm.weight", f"{name}.final_norm.weight"),
    )


FAMILY = Family(
    name="t5",
    architectures={
        "T5ForConditionalGeneration": Form(head=True),
        "T5Model": Form(head=False),
        "T5ForSequenceClassification": Form(head=False, task=replace(CLASSIFICATION, prefix="transformer.")),
        "T5ForQuestionAnswering": Form(head=False, task=ANSWERS),
    },
    base={
        "variant": "encoder_decoder",
        "attention": {"name": "multi_head", "scores": {"scale": 1.0}},
        "norm": {"name": "rms"},
        "position": {"name": "t5"},
        "residual": {"name": "pre"},
    },
    keys=(
        Equal("vocab_size", "vocabulary", default=32128),
        Fixed("is_encoder_decoder", True),
        Synonyms(Equal("d_model", "dim", default=512), ("hidden_size",)),
        Synonyms(Equal("d_kv", "head_dim", default=64), ("head_dim",)),
        Equal("d_ff", "hidden", default=2048),
        Synonyms(map_layers("num_layers", "encoder.layers", default=6), ("num_hidden_layers",)),
        map_layers("num_decoder_layers", "decoder.layers", default="=encoder.layers"),
        Synonyms(Equal("num_heads", "heads", default=8), ("num_attention_heads",)),
        Equal("relative_attention_num_buckets", "position.buckets", default=32),
        Equal("relative_attention_max_distance", "position.distance", default=128),
        Equal("layer_norm_epsilon", "norm.eps", FLOAT, 1e-6),
        FeedForward(),
        Equal("dropout_rate", ("dropout", "attention.scores.dropout", "ffn.dropout"), FLOAT, 0.1),
        HeadOptions(),
        Fixed("tie_encoder_decoder", False),
        Passthrough(("n_positions",)),
    ),
    rules=(
        Same("shared.weight", "embedding.table.weight"),
        *_map_stack("encoder", cross=False),
        *_map_stack("decoder", cross=True),
        Same("lm_head.weight", "head.weight"),
    ),
    repeated={
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
        "lm_head.weight": "shared.weight",
    },
    # Cross-attention has no positions; older files contain a table that is not used.
    left_out={"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": ""},
)
