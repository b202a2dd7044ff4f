"""GPT-J (Wang and Komatsuzaki 2021): parallel sublayers with a common norm, and rotary positions on part of a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from zoo.hub.computed_keys import Derived
from zoo.hub.config_views import BOOL, FLOAT, INT, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.constant_keys import Passthrough
from zoo.hub.family import Family, Form
from zoo.hub.keys import Equal, Key, Synonyms, map_activation, map_layers
from zoo.hub.task_heads import SCORE, TaskHead, describe_linear
from zoo.hub.tensor_rules import Same

_LAYER, _OURS = "transformer.h.{layer}", "stack.layers.{layer}"


@final
@dataclass(frozen=True)
class RotaryDim(Key):
    """``rotary_dim``: the number of rotated features of a head; must be read after the sizes."""

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the fraction of a head that is rotated."""
        rotary_dim, dim, heads = theirs.take("rotary_dim", INT, 64), ours.get("dim"), ours.get("heads")
        if rotary_dim is None or not dim or not heads:
            return
        if not 0 < rotary_dim <= dim // heads:
            theirs.refuse("rotary_dim", f"must be from 1 to {dim // heads}, the features of a head", rotary_dim)
            return
        ours.set("position.fraction", rotary_dim / (dim // heads))

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the number of rotated features."""
        theirs["rotary_dim"] = round(ours.get("position.fraction", 1.0) * ours.get("head_dim"))


FAMILY = Family(
    name="gptj",
    architectures={
        "GPTJForCausalLM": Form(head=True),
        "GPTJModel": Form(head=False),
        "GPTJForSequenceClassification": Form(head=False, task=SCORE),
        "GPTJForQuestionAnswering": Form(head=False, task=TaskHead(describe_linear("qa_outputs"))),
    },
    base={
        "variant": "decoder",
        "attention": {"name": "multi_head"},
        "ffn": {"name": "mlp", "bias": True},
        "norm": {"name": "layer"},
        "position": {"name": "rotary", "interleaved": True},
        "residual": {"name": "parallel"},
        "head": {"bias": True},
    },
    keys=(
        Equal("vocab_size", "vocabulary", default=50400),
        Synonyms(Equal("n_embd", "dim", default=4096), ("hidden_size",)),
        Synonyms(map_layers("n_layer", default=28), ("num_hidden_layers",)),
        Synonyms(Equal("n_head", "heads", default=16), ("num_attention_heads",)),
        Derived("hidden", lambda ours: 4 * ours.get("dim")),
        Equal("n_inner", "hidden", default="=hidden"),
        RotaryDim(),
        map_activation("activation_function", default="gelu_new"),
        Equal("layer_norm_epsilon", "norm.eps", FLOAT, 1e-5),
        Equal("resid_pdrop", "dropout", FLOAT, 0.0),
        Equal("attn_pdrop", "attention.scores.dropout", FLOAT, 0.0),
        Equal("tie_word_embeddings", "head.tied", BOOL, False),
        Passthrough(
            (
                "n_positions",
                "max_position_embeddings",
                "n_ctx",
                "embd_pdrop",
                "rotary",
                "scale_attn_weights",
                "summary_type",
                "summary_use_proj",
                "summary_activation",
                "summary_proj_to_labels",
                "summary_first_dropout",
            )
        ),
    ),
    rules=(
        Same("transformer.wte.weight", "embedding.table.weight"),
        Same(f"{_LAYER}.ln_1.*", f"{_OURS}.residual.norms.0.*"),
        Same(f"{_LAYER}.attn.q_proj.weight", f"{_OURS}.attention.query.weight"),
        Same(f"{_LAYER}.attn.k_proj.weight", f"{_OURS}.attention.key.weight"),
        Same(f"{_LAYER}.attn.v_proj.weight", f"{_OURS}.attention.value.weight"),
        Same(f"{_LAYER}.attn.out_proj.weight", f"{_OURS}.attention.output.weight"),
        Same(f"{_LAYER}.mlp.fc_in.*", f"{_OURS}.ffn.up.*"),
        Same(f"{_LAYER}.mlp.fc_out.*", f"{_OURS}.ffn.down.*"),
        Same("transformer.ln_f.*", "stack.final_norm.*"),
        Same("lm_head.weight", "head.weight"),
        Same("lm_head.bias", "head.bias"),
    ),
    prefix="transformer.",
    repeated={"lm_head.weight": "transformer.wte.weight"},
    left_out={"*.attn.bias": "", "*.attn.masked_bias": "", "*.attn.embed_positions": ""},
)
