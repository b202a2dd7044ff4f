"""Vectors to logits: each option against its formula."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from zoo.model.build import check
from zoo.model.variants.variant import Variant

Built = Callable[..., Variant]
X = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))


def test_a_transform_is_norm_of_activation_of_linear(built: Built) -> None:
    functions = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}
    for name, function in functions.items():
        for tied in (True, False):
            head: Any = built(head={"tied": tied, "bias": True, "transform": True, "activation": name}).head
            inner = function(X @ head.map.weight.T + head.map.bias)
            inner = F.layer_norm(inner, (16,), head.norm.weight, head.norm.bias)
            torch.testing.assert_close(head(X), inner @ head.weight.T + head.bias)


def test_a_transform_may_have_no_biases(built: Built) -> None:
    head: Any = built(head={"transform": True, "transform_bias": False, "bias": True}).head
    assert head.map.bias is None
    inner = F.layer_norm(F.gelu(X @ head.map.weight.T), (16,), head.norm.weight, head.norm.bias)
    torch.testing.assert_close(head(X), inner @ head.weight.T + head.bias)


@pytest.mark.parametrize("transform", [False, True])
def test_a_factorised_head_goes_through_the_width_of_the_table(transform: bool, built: Built) -> None:
    model = built(embedding={"width": 6}, head={"transform": transform})
    head: Any = model.head
    assert head.weight is model.embedding.table.weight
    assert head.map.weight.shape == (6, 16)
    x = X @ head.map.weight.T
    if transform:
        x = F.layer_norm(F.gelu(x + head.map.bias), (6,), head.norm.weight, head.norm.bias)
    torch.testing.assert_close(head(X), x @ head.weight.T)


def test_an_untied_head_needs_no_map(built: Built) -> None:
    head = built(embedding={"width": 6}, head={"tied": False}).head
    assert (head.map, head.weight.shape) == (None, (32, 16))
    torch.testing.assert_close(head(X), X @ head.weight.T)


@pytest.mark.parametrize(("embedding", "width"), [({}, 16), ({"width": 6}, 6)])
def test_a_scaled_head_divides_by_the_root_of_its_width(embedding: dict[str, Any], width: int, built: Built) -> None:
    head: Any = built(embedding=embedding, head={"scaled": True, "bias": True}).head
    x = X if head.map is None else head.map(X)
    torch.testing.assert_close(head(X), x @ head.weight.T / math.sqrt(width) + head.bias)


def test_soft_capped_logits_are_within_the_cap(built: Built) -> None:
    head, free = (built(head={"softcap": cap}).head for cap in (2.0, None))
    torch.testing.assert_close(head(X), 2 * torch.tanh(free(X) / 2))
    assert head(100 * X).abs().max() <= 2 < free(X).abs().max()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"softcap": 0.0}, "model.head.softcap: softcap must be positive: got softcap=0.0"),
        (
            {"transform_bias": False},
            "model.head.transform_bias: transform_bias needs transform=True: got transform_bias=False",
        ),
        ({"activation": "relu"}, "model.head.activation: activation needs transform=True: got activation=relu"),
    ],
)
def test_refused_options_come_with_their_path(
    options: dict[str, Any], line: str, tiny: Callable[..., dict[str, Any]]
) -> None:
    assert check(tiny(head=options))[2] == [line]


def test_the_dtype_is_kept(built: Built) -> None:
    options = {"scaled": True, "softcap": 3.0, "transform": True, "bias": True}
    for dtype in (torch.float64, torch.bfloat16):
        head = copy.deepcopy(built(head=options)).to(dtype).head
        assert head(X.to(dtype)).dtype == dtype
