"""Embeddings and heads, and shared layers, against those of published models in transformers, forward and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from zoo.model.build import build
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant

Tiny = Callable[..., dict[str, Any]]
Pairs = list[tuple[nn.Parameter, Tensor]]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
DIM, HIDDEN, HEADS, WIDTH, VOCABULARY, PLACES = 16, 24, 4, 6, 32, 64
NORM = {"name": "layer", "eps": 1e-12}
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": DIM,
    "num_attention_heads": HEADS,
    "intermediate_size": HIDDEN,
    "max_position_embeddings": PLACES,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "type_vocab_size": 2,
    "pad_token_id": None,
    "attn_implementation": "eager",
}


def parameters(*modules: Any) -> list[Any]:
    """Weight and bias of each, one after another."""
    return [parameter for module in modules for parameter in (module.weight, module.bias)]


def layer_of(ours: Any) -> list[Any]:
    attention, ffn, norms = ours.attention, ours.ffn, ours.residual.norms
    linears = attention.query, attention.key, attention.value, attention.output
    return parameters(*linears, norms[0], ffn.up, ffn.down, norms[1])


def entrance_of(stack: Any, embedding: Any) -> list[Any]:
    tables = embedding.table.weight, embedding.types.weight, stack.positions[0].table.weight
    return [*tables, *parameters(stack.input_norm)]


def head_of(head: Any) -> list[Any]:
    return [*parameters(head.map, head.norm), head.bias]


def copied(ours: Variant, mine: list[Any], theirs: list[Any]) -> Pairs:
    """Give both the same random weights; all of ours are among them."""
    assert {id(parameter) for parameter in mine} == {id(parameter) for parameter in ours.parameters()}
    generator = torch.Generator().manual_seed(1)
    pairs = list(zip(mine, theirs, strict=True))
    with torch.no_grad():
        for own, other in pairs:
            assert own.shape == other.shape
            other.copy_(0.5 * torch.randn(other.shape, generator=generator))
            own.copy_(other)
    return pairs


def compare(out: Tensor, expected: Tensor, pairs: Pairs) -> None:
    torch.testing.assert_close(out, expected, **CLOSE)
    for result in (out, expected):
        (result * torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)).sum().backward()
    for own, other in pairs:
        assert other.grad is not None
        torch.testing.assert_close(own.grad, other.grad, **CLOSE)


def tokens_and_types(length: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randint(VOCABULARY, (2, length), generator=generator),
        torch.randint(2, (2, length), generator=generator),
    )


def bert_like(tiny: Tiny, **over: Any) -> Variant:
    config = tiny(
        "encoder",
        attention={"name": "multi_head", "bias": "all"},
        ffn={"name": "mlp", "activation": "gelu", "bias": True},
        norm=NORM,
        position={"name": "learned", "length": PLACES},
        residual={"name": "post"},
        input_norm=True,
        head={"transform": True, "bias": True},
        **over,
    )
    return build(config, VOCABULARY).double()


@pytest.mark.parametrize("length", [1, 7, 63])
@pytest.mark.parametrize("layers", [1, 3])
def test_albert(layers: int, length: int, tiny: Tiny) -> None:
    """Factorised embedding and head, types of token, and one layer's weights for all layers."""
    ours = bert_like(tiny, layers=layers, distinct_layers=1, embedding={"width": WIDTH, "token_types": 2})
    config = transformers.AlbertConfig(
        **SIZES, embedding_size=WIDTH, num_hidden_layers=layers, num_hidden_groups=1, inner_group_num=1
    )
    theirs: Any = transformers.AlbertForMaskedLM(config).double().eval()
    stack: Any = ours.reader
    mine = [*entrance_of(stack, ours.embedding), *parameters(stack.project), *layer_of(stack.layers[0])]
    ends, encoder, head = theirs.albert.embeddings, theirs.albert.encoder, theirs.predictions
    layer = encoder.albert_layer_groups[0].albert_layers[0]
    attention = layer.attention
    tables = ends.word_embeddings.weight, ends.token_type_embeddings.weight, ends.position_embeddings.weight
    linears = attention.query, attention.key, attention.value, attention.dense
    other = [
        *tables,
        *parameters(ends.LayerNorm, encoder.embedding_hidden_mapping_in),
        *parameters(*linears, attention.LayerNorm, layer.ffn, layer.ffn_output, layer.full_layer_layer_norm),
        *parameters(head.dense, head.LayerNorm),
        head.decoder.bias,
    ]
    pairs = copied(ours, [*mine, *head_of(ours.head)], other)
    assert head.decoder.weight is ends.word_embeddings.weight
    tokens, types = tokens_and_types(length)
    expected = theirs(input_ids=tokens, token_type_ids=types).logits
    compare(ours.logits(ours.compute_hidden(Inputs(tokens, token_type=types))), expected, pairs)


@pytest.mark.parametrize("length", [1, 7, 63])
def test_bert(length: int, tiny: Tiny) -> None:
    """Segments, and the head's transform."""
    ours = bert_like(tiny, layers=1, embedding={"token_types": 2})
    theirs: Any = transformers.BertForMaskedLM(transformers.BertConfig(**SIZES, num_hidden_layers=1)).double().eval()
    stack: Any = ours.reader
    mine = [*entrance_of(stack, ours.embedding), *layer_of(stack.layers[0]), *head_of(ours.head)]
    ends, layer, head = theirs.bert.embeddings, theirs.bert.encoder.layer[0], theirs.cls.predictions
    tables = ends.word_embeddings.weight, ends.token_type_embeddings.weight, ends.position_embeddings.weight
    own = layer.attention.self
    other = [
        *tables,
        *parameters(ends.LayerNorm, own.query, own.key, own.value, layer.attention.output.dense),
        *parameters(layer.attention.output.LayerNorm, layer.intermediate.dense, layer.output.dense),
        *parameters(layer.output.LayerNorm, head.transform.dense, head.transform.LayerNorm),
        head.decoder.bias,
    ]
    pairs = copied(ours, mine, other)
    assert head.decoder.weight is ends.word_embeddings.weight
    tokens, types = tokens_and_types(length)
    expected = theirs(input_ids=tokens, token_type_ids=types).logits
    compare(ours.logits(ours.compute_hidden(Inputs(tokens, token_type=types))), expected, pairs)


def head_parity(ours: Variant, theirs: Any, monkeypatch: pytest.MonkeyPatch, body: str, out: Any, **given: Any) -> None:
    """Both heads read the same hidden states, whatever the model below them would have made of the tokens."""
    hidden = torch.randn(2, 7, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x, y = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    monkeypatch.setattr(getattr(theirs, body), "forward", lambda *args, **kwargs: out(y))
    with torch.no_grad():
        theirs.lm_head.weight.copy_(ours.head.weight)
    expected = theirs(**given).logits
    compare(ours.logits(x), expected, [(ours.head.weight, theirs.lm_head.weight)])  # type: ignore[list-item]
    torch.testing.assert_close(x.grad, y.grad, **CLOSE)


def test_t5_scales_what_a_tied_head_reads(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = build(tiny(head={"scaled": True}, initialization={"std": 0.5}), VOCABULARY, seed=0).double()
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=DIM, d_kv=4, d_ff=HIDDEN, num_layers=1, num_heads=HEADS, dropout_rate=0.0
    )
    theirs: Any = transformers.T5ForConditionalGeneration(config).double().eval()
    out = transformers.modeling_outputs.BaseModelOutputWithPastAndCrossAttentions
    given = {"encoder_outputs": (torch.zeros(2, 3, DIM, dtype=torch.float64),)}
    tokens = torch.zeros(2, 7, dtype=torch.long)
    head_parity(
        ours, theirs, monkeypatch, "decoder", lambda y: out(last_hidden_state=y), decoder_input_ids=tokens, **given
    )


def test_gemma_2_caps_its_logits(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = build(tiny(head={"softcap": 2.5}, initialization={"std": 1.0}), VOCABULARY, seed=0).double()
    config = transformers.Gemma2Config(
        vocab_size=VOCABULARY,
        hidden_size=DIM,
        intermediate_size=HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        head_dim=4,
        final_logit_softcapping=2.5,
        pad_token_id=None,
    )
    theirs: Any = transformers.Gemma2ForCausalLM(config).double().eval()
    out = transformers.modeling_outputs.BaseModelOutputWithPast
    tokens = torch.zeros(2, 7, dtype=torch.long)
    head_parity(ours, theirs, monkeypatch, "model", lambda y: out(last_hidden_state=y), input_ids=tokens)
