"""DistilBERT (arXiv:1910.01108): BERT without token types and pooler, under other names."""

from __future__ import annotations

from zoo.hub.config_views import FLOAT, STR
from zoo.hub.constant_keys import Passthrough
from zoo.hub.converters.bert import BASE, BUFFERS, TiedHead
from zoo.hub.family import Family, Form
from zoo.hub.keys import ACTIVATIONS, Equal, Synonyms, map_layers
from zoo.hub.task_heads import ANSWERS, CLASSIFIER, TaskHead, describe_linear
from zoo.hub.tensor_rules import Same

_LAYER, _OURS = "distilbert.transformer.layer.{layer}", "stack.layers.{layer}"
_MAPPED = TaskHead({**describe_linear("pre_classifier", "dim"), **describe_linear("classifier")})
_CHOICE = TaskHead({**describe_linear("pre_classifier", "dim"), **describe_linear("classifier", 1)})

FAMILY = Family(
    name="distilbert",
    architectures={
        "DistilBertForMaskedLM": Form(head=True),
        "DistilBertModel": Form(head=False),
        "DistilBertForSequenceClassification": Form(head=False, task=_MAPPED),
        "DistilBertForMultipleChoice": Form(head=False, task=_CHOICE),
        "DistilBertForTokenClassification": Form(head=False, task=CLASSIFIER),
        "DistilBertForQuestionAnswering": Form(head=False, task=ANSWERS),
    },
    base={**BASE, "norm": {"name": "layer", "eps": 1e-12}},
    keys=(
        Equal("vocab_size", "vocabulary", default=30522),
        Synonyms(Equal("dim", "dim", default=768), ("hidden_size",)),
        Synonyms(map_layers("n_layers", default=6), ("num_hidden_layers",)),
        Synonyms(Equal("n_heads", "heads", default=12), ("num_attention_heads",)),
        Equal("hidden_dim", "hidden", default=3072),
        Equal("max_position_embeddings", "position.length", default=512),
        Equal("dropout", "dropout", FLOAT, 0.1),
        Equal("attention_dropout", "attention.scores.dropout", FLOAT, 0.1),
        Equal("activation", ("ffn.activation", "head.activation"), STR, "gelu", ACTIVATIONS),
        TiedHead(),
        Passthrough(("sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout", "tie_weights_")),
    ),
    rules=(
        Same("distilbert.embeddings.word_embeddings.weight", "embedding.table.weight"),
        Same("distilbert.embeddings.position_embeddings.weight", "stack.positions.0.table.weight"),
        Same("distilbert.embeddings.LayerNorm.*", "stack.input_norm.*"),
        Same(f"{_LAYER}.attention.q_lin.*", f"{_OURS}.attention.query.*"),
        Same(f"{_LAYER}.attention.k_lin.*", f"{_OURS}.attention.key.*"),
        Same(f"{_LAYER}.attention.v_lin.*", f"{_OURS}.attention.value.*"),
        Same(f"{_LAYER}.attention.out_lin.*", f"{_OURS}.attention.output.*"),
        Same(f"{_LAYER}.sa_layer_norm.*", f"{_OURS}.residual.norms.0.*"),
        Same(f"{_LAYER}.ffn.lin1.*", f"{_OURS}.ffn.up.*"),
        Same(f"{_LAYER}.ffn.lin2.*", f"{_OURS}.ffn.down.*"),
        Same(f"{_LAYER}.output_layer_norm.*", f"{_OURS}.residual.norms.1.*"),
        Same("vocab_transform.*", "head.map.*"),
        Same("vocab_layer_norm.*", "head.norm.*"),
        Same("vocab_projector.weight", "head.weight"),
        Same("vocab_projector.bias", "head.bias"),
    ),
    prefix="distilbert.",
    repeated={"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"},
    left_out=BUFFERS,
)
