"""Attention against torch's own and against a loop, forward and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from zoo.components.attention.grouped_query import GroupedQueryAttention
from zoo.components.attention.multi_head import MultiHeadAttention
from zoo.components.norm.none import NoNorm
from zoo.components.position.none import NoPosition
from zoo.components.position.rotary import Rotary
from zoo.model.interfaces import Attention
from zoo.model.mask import Mask, Tokens

DIM, HEADS, BATCH = 16, 4, 3
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
NOWHERE = NoPosition(DIM, HEADS, 4, True)


def norm(width: int) -> NoNorm:
    return NoNorm(width)


def padded(length: int) -> Tensor:
    """True at real tokens; the rows have different lengths, at least one."""
    lengths = torch.tensor([length, max(1, length // 2), 1])
    return torch.arange(length)[None] < lengths[:, None]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def judged(out: Tensor, real: Tensor) -> Tensor:
    """One number that looks at every feature of the real tokens differently."""
    return (out * torch.linspace(-1, 1, out.numel()).view_as(out))[real].sum()


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 7, 63])
def test_multi_head_is_torchs(length: int, causal: bool, padding: bool) -> None:
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    ours = MultiHeadAttention(DIM, HEADS, DIM // HEADS, norm, bias="all")
    nn.init.normal_(theirs.in_proj_bias)
    nn.init.normal_(theirs.out_proj.bias)
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        for part, weight, bias in zip(parts, theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True):
            part.weight.copy_(weight)
            part.bias.copy_(bias)
    ours.output.load_state_dict(theirs.out_proj.state_dict())
    real = padded(length) if padding else torch.ones(BATCH, length, dtype=torch.bool)
    tokens = Tokens.from_length(length, segment=torch.where(real, 0, -1) if padding else None)
    x, y = random(BATCH, length, DIM), random(BATCH, length, DIM)
    out = ours(x, x, Mask(tokens, tokens, causal), NOWHERE)
    hidden = torch.ones(length, length, dtype=torch.bool).triu(1) if causal else None
    expected, _ = theirs(y, y, y, key_padding_mask=~real, attn_mask=hidden, need_weights=False)
    torch.testing.assert_close(out[real], expected[real], **CLOSE)
    judged(out, real).backward()
    judged(expected, real).backward()
    torch.testing.assert_close(x.grad, y.grad, **CLOSE)
    grads = torch.cat([part.weight.grad for part in parts]), torch.cat([part.bias.grad for part in parts])
    torch.testing.assert_close(grads[0], theirs.in_proj_weight.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(grads[1], theirs.in_proj_bias.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.output.weight.grad, theirs.out_proj.weight.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.output.bias.grad, theirs.out_proj.bias.grad, **CLOSE)


def loop(attention: GroupedQueryAttention, x: Tensor, memory: Tensor, visible: Tensor) -> Tensor:
    """Query head h looks at key head h * kv_heads // heads; one head and query after another."""
    heads, groups, width = attention.heads, attention.kv_heads, attention.head_dim
    out = []
    for row in range(len(x)):
        q, k, v = (
            part(y[row]) for part, y in ((attention.query, x), (attention.key, memory), (attention.value, memory))
        )
        rows = []
        for i in range(x.shape[1]):
            found = []
            for head in range(heads):
                own, shared = head * width, head * groups // heads * width
                scores = k[:, shared : shared + width] @ q[i, own : own + width] / math.sqrt(width)
                weights = torch.where(visible[row, i], scores.exp(), 0.0)
                found.append(weights @ v[:, shared : shared + width] / weights.sum())
            rows.append(attention.output(torch.cat(found)))
        out.append(torch.stack(rows))
    return torch.stack(out)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("length", "source"), [(1, None), (7, None), (7, 3)])
@pytest.mark.parametrize("causal", [False, True])
def test_grouped_query_is_the_loop(length: int, source: int | None, causal: bool, kv_heads: int) -> None:
    """Also with heads of another width than dim / heads, and across two rows."""
    torch.manual_seed(0)
    attention = GroupedQueryAttention(DIM, HEADS, 6, norm, kv_heads=kv_heads, bias="qkv").double()
    x = random(2, length, DIM).detach().double().requires_grad_()
    memory = x if source is None else random(2, source, DIM, seed=1).detach().double()
    tokens = Tokens.from_length(length)
    mask = Mask(tokens, tokens if source is None else Tokens.from_length(source), causal and source is None)
    inputs = [x, *attention.parameters()]
    out = attention(x, memory, mask, NOWHERE)
    expected = loop(attention, x, memory, mask.materialize().expand(2, -1, -1))
    torch.testing.assert_close(out, expected)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    ours, theirs = (torch.autograd.grad((y * weight).sum(), inputs) for y in (out, expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("length", [1, 7, 63])
def test_grouped_query_with_a_key_head_for_each_is_multi_head(length: int) -> None:
    make: list[Callable[[], Attention]] = [
        lambda: MultiHeadAttention(DIM, HEADS, 4, norm),
        lambda: GroupedQueryAttention(DIM, HEADS, 4, norm, kv_heads=HEADS),
    ]
    one, other = (build() for build in make)
    other.load_state_dict(one.state_dict())
    x, tokens = random(BATCH, length, DIM), Tokens.from_length(length)
    mask = Mask(tokens, tokens, causal=True)
    assert torch.equal(one(x, x, mask, NOWHERE), other(x, x, mask, NOWHERE))


def test_rotated_attention_sees_distances_only() -> None:
    """Queries and keys turn the same way: where a row begins does not matter, where its tokens stand does."""
    torch.manual_seed(0)
    attention, rotary = MultiHeadAttention(DIM, HEADS, 4, norm).double(), Rotary(DIM, HEADS, 4, True)
    x = random(2, 7, DIM).detach().double()
    outs = []
    for places in (torch.arange(7), torch.arange(7) + 50, torch.arange(7) * 2):
        tokens = Tokens.from_length(7, position=places[None])
        outs.append(attention(x, x, Mask(tokens, tokens, causal=True), rotary))
    torch.testing.assert_close(outs[0], outs[1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(outs[0], outs[2], atol=1e-3)
