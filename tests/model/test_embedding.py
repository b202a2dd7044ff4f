"""Tokens to vectors: width, types of token, tables shared or apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo.checks import Refused
from zoo.model.build import build, check
from zoo.model.embedding import Embedding
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant

Tiny = Callable[..., dict[str, Any]]
Built = Callable[..., Variant]
TOKENS = torch.tensor([[7, 9, 12, 7, 30], [8, 8, 6, 31, 7]])
SOURCE = torch.tensor([[20, 21, 22], [23, 24, 25]])
TYPES = torch.tensor([[0, 0, 1, 1, 1], [1, 0, 0, 1, 2]])


def refusal(config: dict[str, Any]) -> str:
    _, _, (line,) = check(config)
    with pytest.raises(Refused, match=re.escape(line)):
        build(config, 32)
    return line


def test_a_factorised_embedding_is_two_matrices(built: Built) -> None:
    """By hand: table, positions and norm in the narrow space, then the map."""
    model = built(embedding={"width": 6}, input_norm=True, position={"name": "learned", "length": 8})
    stack: Any = model.reader
    assert model.embedding.table.weight.shape == (32, 6)
    narrow = model.embedding.table.weight[TOKENS] + stack.positions[0].table.weight[:5]
    norm = stack.input_norm
    x = torch.nn.functional.layer_norm(narrow, (6,), norm.weight, norm.bias)
    x = x @ stack.project.weight.T + stack.project.bias
    seen: list[torch.Tensor] = []
    handle = stack.layers[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    model.compute_hidden(Inputs(TOKENS))
    handle.remove()
    torch.testing.assert_close(seen[0], x)


@pytest.mark.parametrize("variant", ["encoder", "encoder_decoder"])
@pytest.mark.parametrize("head", [{}, {"transform": True}, {"tied": False}, {"tied": False, "transform": True}])
def test_operations_of_factorised_models_are_counted_ones(variant: str, head: dict[str, Any], tiny: Tiny) -> None:
    config = tiny(variant, embedding={"width": 6, "token_types": 2}, head=head)
    with torch.device("meta"):
        model = build(config, 32).eval()
    with FlopCounterMode(display=False) as counter:
        source = torch.zeros(1, 3, dtype=torch.long, device="meta") if variant == "encoder_decoder" else None
        model.logits(model.compute_hidden(Inputs(torch.zeros(1, 1, dtype=torch.long, device="meta"), source=source)))
    assert model.flops(1, 3) == counter.get_total_flops()


def test_types_of_token_are_added(built: Built) -> None:
    embedding = built(embedding={"token_types": 3, "scaled": True}).embedding
    assert embedding.types is not None
    expected = 4 * embedding.table.weight[TOKENS] + embedding.types.weight[TYPES]
    assert torch.equal(embedding(TOKENS, TYPES), expected)


def test_types_reach_the_stack_that_reads_the_tokens(built: Built) -> None:
    options = {"token_types": 3}
    for variant in ("decoder", "encoder", "encoder_decoder"):
        model = built(variant, embedding=options)
        source = SOURCE if variant == "encoder_decoder" else None
        plain, first, mixed = (
            model.compute_hidden(Inputs(TOKENS, source=source, token_type=types))
            for types in (None, torch.zeros_like(TYPES), TYPES)
        )
        assert torch.equal(plain, first)
        assert not torch.allclose(plain, mixed)


def test_a_model_without_types_reads_none(built: Built) -> None:
    with pytest.raises(Refused, match=r"embedding\.token_types of at least 1"):
        built().compute_hidden(Inputs(TOKENS, token_type=TYPES))


def test_a_cached_token_has_its_type(built: Built) -> None:
    model = built(embedding={"token_types": 3, "width": 6})
    caches = model.reader.create_caches(5)
    with torch.no_grad():
        parts = [
            model.compute_hidden(Inputs(TOKENS[:, i : i + 1], start=i, token_type=TYPES[:, i : i + 1]), caches)
            for i in range(5)
        ]
        whole = model.compute_hidden(Inputs(TOKENS, token_type=TYPES))
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------------------ shared or apart


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_one_two_or_three_matrices(shared: bool, tied: bool, tiny: Tiny) -> None:
    model: Any = build(tiny("encoder_decoder", embedding={"shared": shared}, head={"tied": tied}), 32)
    tables = [parameter for parameter in model.parameters() if parameter.shape == (32, 16)]
    assert len(tables) == 1 + (not shared) + (not tied)
    assert (model.head.weight is model.embedding.table.weight) == tied
    assert (model.source_embedding is None) == shared


def test_the_encoder_reads_with_its_own_table(built: Built) -> None:
    model: Any = built("encoder_decoder", embedding={"shared": False, "token_types": 2})
    assert model.source_embedding.types is None
    before = model.compute_hidden(Inputs(TOKENS, source=SOURCE))
    before.square().sum().backward()
    touched = [table.weight.grad.any(dim=-1).nonzero().flatten().tolist() for table in tables_of(model)]
    assert touched == [sorted(set(TOKENS.flatten().tolist())), sorted(set(SOURCE.flatten().tolist()))]


def tables_of(model: Any) -> list[Any]:
    return [model.embedding.table, model.source_embedding.table]


def test_an_encoder_decoder_of_two_tables_decodes_with_caches(built: Built) -> None:
    model = built("encoder_decoder", embedding={"shared": False, "width": 6})
    caches = model.reader.create_caches(5, 3)
    with torch.no_grad():
        first = model.compute_hidden(Inputs(TOKENS[:, :2], source=SOURCE), caches)
        rest = model.compute_hidden(Inputs(TOKENS[:, 2:], start=2), caches)
        whole = model.compute_hidden(Inputs(TOKENS, source=SOURCE))
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole, atol=1e-5, rtol=1e-5)


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"width": 0}, "model.embedding.width: width must be positive: got width=0"),
        ({"token_types": -1}, "model.embedding.token_types: token_types must not be negative: got token_types=-1"),
        (
            {"shared": False},
            "model.embedding.shared: only an encoder_decoder has two embeddings: got variant=decoder",
        ),
    ],
)
def test_refused_options_come_with_their_path(options: dict[str, Any], line: str, tiny: Tiny) -> None:
    assert refusal(tiny(embedding=options)) == line


def test_a_vocabulary_must_have_tokens() -> None:
    with pytest.raises(Refused, match="vocabulary must be positive: got vocabulary=0"):
        Embedding(4, 0)
