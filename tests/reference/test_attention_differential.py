"""Differential attention against DiffLlama's in transformers."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor
from transformers import DiffLlamaConfig
from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention, DiffLlamaRotaryEmbedding

from zoo.checks import Refused
from zoo.components.attention.differential import DifferentialAttention
from zoo.components.norm.none import NoNorm
from zoo.components.position.rotary import Rotary
from zoo.model.mask import Mask, Tokens
from zoo.testing.subject import perturb

DIM, HEADS, WIDTH = 16, 4, 6
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def paired(heads: Tensor) -> Tensor:
    """Theirs: the first halves of all pairs, then the second halves; ours: pair by pair. ``[heads * width, dim]``."""
    return heads.unflatten(0, (2, HEADS // 2, WIDTH)).transpose(0, 1).flatten(0, 2)


def rename(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    projections = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
    named = {f"{ours}.weight": paired(theirs[f"{name}.weight"]) for ours, name in projections.items()}
    vectors = {
        f"lambda_{ours}": [theirs[f"lambda_{name}{i}"] for i in (1, 2)] for ours, name in (("query", "q"), ("key", "k"))
    }
    return (
        named | {name: torch.stack(pair) for name, pair in vectors.items()} | {"output.weight": theirs["o_proj.weight"]}
    )


@pytest.mark.parametrize("length", [1, 7, 63])
@pytest.mark.parametrize("layer", [0, 5])
def test_it_is_that_of_diff_llama(layer: int, length: int) -> None:
    config = DiffLlamaConfig(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=WIDTH,
        attn_implementation="eager",
        rms_norm_eps=1e-5,
    )
    theirs = DiffLlamaAttention(config, layer)
    perturb(theirs)
    ours = DifferentialAttention(DIM, HEADS, WIDTH, NoNorm, lambda_init=theirs.lambda_init)
    ours.load_state_dict(rename(theirs.state_dict()))
    x = torch.randn(2, length, DIM, generator=torch.Generator().manual_seed(length), requires_grad=True)
    y = x.detach().clone().requires_grad_()
    tokens = Tokens.from_length(length)
    hidden = torch.full((length, length), float("-inf")).triu(1)[None, None]
    out = ours(x, x, Mask(tokens, tokens, causal=True), Rotary(DIM, HEADS, WIDTH, True))
    expected = theirs(y, DiffLlamaRotaryEmbedding(config)(y, tokens.position), hidden)[0]
    torch.testing.assert_close(out, expected, **CLOSE)
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-5, rtol=1e-4)
    gradients = rename({name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("heads", "lambda_init", "line"),
    [
        (3, 0.8, "heads must be even, since each difference takes two: got heads=3"),
        (4, 1.0, "lambda_init must be between 0.0 and 0.99: got lambda_init=1.0"),
    ],
)
def test_bad_arguments_are_refused(heads: int, lambda_init: float, line: str) -> None:
    with pytest.raises(Refused, match=f"^{re.escape(line)}$"):
        DifferentialAttention(DIM, heads, WIDTH, NoNorm, lambda_init=lambda_init)
