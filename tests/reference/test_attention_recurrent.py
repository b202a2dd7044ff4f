"""Mixers with a state against loops over tokens, written from the papers: forward and gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.components.attention.gated_delta import GatedDelta
from zoo.components.attention.gated_linear import GatedLinearAttention
from zoo.components.attention.gru import Gru
from zoo.components.attention.linear import LinearAttention
from zoo.components.attention.lstm import Lstm
from zoo.components.attention.mamba2 import Mamba2
from zoo.components.attention.retention import Retention
from zoo.components.norm.none import NoNorm
from zoo.components.position.none import NoPosition
from zoo.components.position.rotary import Rotary
from zoo.model.interfaces import Attention, Position
from zoo.model.mask import Mask, Tokens
from zoo.testing.subject import perturb

DIM, HEADS, WIDTH = 16, 4, 6
CLOSE = {"atol": 1e-9, "rtol": 1e-9}
NOWHERE = NoPosition(DIM, HEADS, WIDTH, True)
ROTARY = Rotary(DIM, HEADS, WIDTH, True)
LENGTHS = [(1, 64), (7, 4), (23, 8), (63, 64), (67, 16)]


def made(cls: Callable[..., Attention], chunk: int = 64, **options: object) -> Attention:
    """In float64, every parameter random."""
    torch.manual_seed(0)
    attention = cls(DIM, HEADS, WIDTH, NoNorm, **options).double()
    perturb(attention)
    attention.chunk_size = chunk
    return attention


def rows(length: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, length, DIM, generator=torch.Generator().manual_seed(1)).double().requires_grad_()


def compare(attention: Attention, x: Tensor, expected: Tensor, position: Position = NOWHERE, **mask: object) -> None:
    """Outputs, and gradients of the rows and of all parameters."""
    tokens = Tokens.from_length(x.shape[1])
    out = attention(x, x, Mask(tokens, tokens, **{"causal": True, **mask}), position)
    torch.testing.assert_close(out, expected, **CLOSE)
    inputs = [x, *attention.parameters()]
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    ours, theirs = (torch.autograd.grad((y * weight).sum(), inputs, allow_unused=True) for y in (out, expected))
    for a, b in zip(ours, theirs, strict=True):
        a, b = (torch.zeros(()) if g is None or not g.any() else g for g in (a, b))
        torch.testing.assert_close(a, b, **CLOSE)


def heads(x: Tensor, count: int = HEADS) -> Tensor:
    """``[batch, length, count * width]`` to ``[batch, length, count, width]``."""
    return x.view(*x.shape[:2], count, -1)


def outer(k: Tensor, v: Tensor) -> Tensor:
    return k[..., :, None] * v[..., None, :]


def read(state: Tensor, q: Tensor) -> Tensor:
    return (state * q[..., :, None]).sum(dim=-2)


def normalized(x: Tensor, eps: float) -> Tensor:
    return (x - x.mean(dim=-1, keepdim=True)) / (x.var(dim=-1, keepdim=True, unbiased=False) + eps).sqrt()


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Torch's own convolution, with zeros before the first token."""
    width, kernel = weight.shape
    padded = F.pad(x.transpose(1, 2), (kernel - 1, 0))
    return F.silu(F.conv1d(padded, weight[:, None], bias, groups=width)).transpose(1, 2)


PHI = {"elu_plus_one": lambda x: torch.where(x > 0, x + 1, x.exp()), "relu": F.relu, "softmax": lambda x: x.softmax(-1)}


def linear_sums(
    attention: LinearAttention, x: Tensor, memory: Tensor, seen: Tensor, phi: str, position: Position = NOWHERE
) -> Tensor:
    """Equation 4 of the paper, one query after another; turned features above the line only (RoFormer, equation 19)."""
    q, k = PHI[phi](heads(attention.query(x))), PHI[phi](heads(attention.key(memory)))
    turned_q = position.rotate_queries(q.transpose(1, 2), torch.arange(x.shape[1])[None]).transpose(1, 2)
    turned_k = position.rotate_keys(k.transpose(1, 2), torch.arange(memory.shape[1])[None]).transpose(1, 2)
    v, out = heads(attention.value(memory)), []
    for i in range(x.shape[1]):
        above = below = 0.0
        for j in range(memory.shape[1]):
            own = seen[:, i, j, None, None].double()
            above = above + own * (turned_q[:, i] * turned_k[:, j]).sum(-1, keepdim=True) * v[:, j]
            below = below + own * (q[:, i] * k[:, j]).sum(-1, keepdim=True)
        out.append(above / (below + 1e-6) if attention.normalize else above)
    return attention.output(torch.stack(out, dim=1).flatten(2))


@pytest.mark.parametrize("features", PHI)
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("position", [NOWHERE, ROTARY], ids=["none", "rotary"])
@pytest.mark.parametrize(("length", "chunk"), [(1, 64), (7, 4), (19, 8)])
def test_linear_is_the_sums(length: int, chunk: int, position: Position, normalize: bool, features: str) -> None:
    attention = made(LinearAttention, chunk, features=features, normalize=normalize)
    x, seen = rows(length), torch.ones(2, length, length, dtype=torch.bool)
    compare(attention, x, linear_sums(attention, x, x, seen.tril(), features, position), position)
    compare(attention, x, linear_sums(attention, x, x, seen, features, position), position, causal=False)
    prefix = torch.tensor([3, 1])
    shown = seen.tril() | (torch.arange(length)[None, None] < prefix[:, None, None])
    compare(attention, x, linear_sums(attention, x, x, shown, features, position), position, prefix=prefix)


@pytest.mark.parametrize("packed", [False, True])
def test_linear_sees_a_memory(packed: bool) -> None:
    """Also when the memory comes with the first of two calls only."""
    attention, x, memory = made(LinearAttention), rows(5), rows(7) * 0.7 + 1
    segments = [torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]), torch.tensor([[0, 0, 0, 1, 1, 1, 1], [-1] + [0] * 6])]
    query, key = (Tokens.from_length(s.shape[1], segment=s if packed else None) for s in segments)
    mask = Mask(query, key)
    expected = linear_sums(attention, x, memory, mask.materialize().expand(2, -1, -1), "elu_plus_one")
    torch.testing.assert_close(attention(x, memory, mask, NOWHERE), expected, **CLOSE)
    cache, parts = attention.create_cache(7), []
    for cut in (slice(0, 2), slice(2, 5)):
        own = Tokens(query.index[cut], query.position[:, cut], None if query.segment is None else query.segment[:, cut])
        given = (memory, key) if cut.start == 0 else (memory[:, :0], Tokens.from_length(0))
        parts.append(attention(x[:, cut], given[0], Mask(own, given[1]), NOWHERE, cache))
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, **CLOSE)


def retained(attention: Retention, x: Tensor) -> Tensor:
    """The recurrent form of section 2.1, and equation 8."""
    gamma = 1 - torch.tensor([2.0 ** (-5 - head) for head in range(HEADS)]).double()
    q, k, v = (heads(part(x)) for part in (attention.query, attention.key, attention.value))
    q = ROTARY.rotate_queries(q.transpose(1, 2), torch.arange(x.shape[1])[None]).transpose(1, 2)
    k = ROTARY.rotate_keys(k.transpose(1, 2), torch.arange(x.shape[1])[None]).transpose(1, 2)
    state, out = torch.zeros(len(x), HEADS, WIDTH, v.shape[-1]).double(), []
    for t in range(x.shape[1]):
        state = gamma[:, None, None] * state + outer(k[:, t], v[:, t])
        out.append(read(state, q[:, t]) / WIDTH**0.5)
    y = torch.stack(out, dim=1).flatten(2)
    y = F.group_norm(y.flatten(0, 1), HEADS, eps=1e-6).view_as(y)
    gate = attention.gate(x)
    return attention.output(gate * gate.sigmoid() * y)


@pytest.mark.parametrize("expand", [1, 2])
@pytest.mark.parametrize(("length", "chunk"), LENGTHS)
def test_retention_is_the_recurrence(length: int, chunk: int, expand: int) -> None:
    attention, x = made(Retention, chunk, expand=expand), rows(length)
    compare(attention, x, retained(attention, x), ROTARY)


def gated(attention: GatedLinearAttention, x: Tensor) -> Tensor:
    """Equations 3 and 4 of section 4.1, and the layer of section 4.4."""
    alpha = heads(attention.decay(x)).sigmoid() ** (1 / 16)
    q, k, v = (heads(part(x)) for part in (attention.query, attention.key, attention.value))
    state, out = torch.zeros(len(x), HEADS, WIDTH, v.shape[-1]).double(), []
    for t in range(x.shape[1]):
        state = alpha[:, t, :, :, None] * state + outer(k[:, t], v[:, t])
        out.append(read(state, q[:, t]) / WIDTH**0.5)
    gate = attention.gate(x)
    return attention.output(gate * gate.sigmoid() * normalized(torch.stack(out, dim=1), 1e-6).flatten(2))


@pytest.mark.parametrize(("length", "chunk"), LENGTHS)
def test_gated_linear_is_the_recurrence(length: int, chunk: int) -> None:
    attention, x = made(GatedLinearAttention, chunk, rank=3), rows(length)
    compare(attention, x, gated(attention, x))


def deltas(attention: GatedDelta, x: Tensor) -> Tensor:
    """Equation 10 and figure 1: keys and queries of length one, a gated norm at the end."""
    key_heads = attention.key_heads
    qkv = torch.cat([attention.query(x), attention.key(x), attention.value(x)], dim=-1)
    qkv = convolved(qkv, attention.convolution.weight, None)
    width = key_heads * WIDTH
    q, k = heads(qkv[..., :width], key_heads), heads(qkv[..., width : 2 * width], key_heads)
    q, k = (y / (y.square().sum(-1, keepdim=True) + 1e-6).sqrt() for y in (q, k))
    owner = [head * key_heads // HEADS for head in range(HEADS)]
    q, k, v = q[:, :, owner], k[:, :, owner], heads(qkv[..., 2 * width :])
    beta = attention.strength(x).sigmoid()
    alpha = torch.exp(-attention.step.log_rate.exp() * F.softplus(attention.decay(x) + attention.step.bias))
    state, out = torch.zeros(len(x), HEADS, WIDTH, v.shape[-1]).double(), []
    for t in range(x.shape[1]):
        state = alpha[:, t, :, None, None] * state
        recalled = read(state, k[:, t])
        state = state + outer(k[:, t], beta[:, t, :, None] * (v[:, t] - recalled))
        out.append(read(state, q[:, t]) / WIDTH**0.5)
    y = torch.stack(out, dim=1)
    y = y / (y.square().mean(-1, keepdim=True) + 1e-6).sqrt() * attention.weight
    return attention.output(y.flatten(2) * F.silu(attention.gate(x)))


@pytest.mark.parametrize("options", [{}, {"key_heads": 2, "expand": 1}, {"key_heads": 1, "kernel": 1}], ids=str)
@pytest.mark.parametrize(("length", "chunk"), LENGTHS)
def test_gated_delta_is_the_recurrence(length: int, chunk: int, options: dict[str, int]) -> None:
    attention, x = made(GatedDelta, chunk, **options), rows(length)
    compare(attention, x, deltas(attention, x))


def spaces(attention: Mamba2, x: Tensor) -> Tensor:
    """Equation 1 with the discretisation of section 7, and figure 6: the convolution is over x, B and C."""
    groups, inner, size = attention.groups, HEADS * attention.value_dim, attention.state
    xbc = torch.cat([attention.value(x), attention.key(x), attention.query(x)], dim=-1)
    xbc = convolved(xbc, attention.convolution.weight, attention.convolution.bias)
    owner = [head * groups // HEADS for head in range(HEADS)]
    b = heads(xbc[..., inner : inner + groups * size], groups)[:, :, owner]
    c = heads(xbc[..., inner + groups * size :], groups)[:, :, owner]
    v = heads(xbc[..., :inner])
    delta = F.softplus(attention.decay(x) + attention.step.bias)
    state, out = torch.zeros(len(x), HEADS, size, attention.value_dim).double(), []
    for t in range(x.shape[1]):
        decay = torch.exp(-attention.step.log_rate.exp() * delta[:, t])
        state = decay[..., None, None] * state + delta[:, t, :, None, None] * outer(b[:, t], v[:, t])
        out.append(read(state, c[:, t]) + attention.skip[:, None] * v[:, t])
    y = torch.stack(out, dim=1).flatten(2) * F.silu(attention.gate(x))
    y = heads(y, groups)
    y = (y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()).flatten(2)
    return attention.output(attention.weight * y)


@pytest.mark.parametrize("options", [{}, {"groups": 2, "expand": 1, "kernel": 3}, {"groups": 4}], ids=str)
@pytest.mark.parametrize(("length", "chunk"), LENGTHS)
def test_mamba2_is_the_recurrence(length: int, chunk: int, options: dict[str, int]) -> None:
    attention, x = made(Mamba2, chunk, state=5, **options), rows(length)
    compare(attention, x, spaces(attention, x))


@pytest.mark.parametrize("length", [1, 7, 63])
def test_lstm_is_the_loop(length: int) -> None:
    attention, x = made(Lstm), rows(length)
    net = attention.network
    h = c = torch.zeros(2, HEADS * WIDTH).double()
    out = []
    for t in range(length):
        gates = x[:, t] @ net.weight_ih_l0.T + net.bias_ih_l0 + h @ net.weight_hh_l0.T + net.bias_hh_l0
        i, f, g, o = gates.chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        out.append(h)
    compare(attention, x, attention.output(torch.stack(out, dim=1)))


@pytest.mark.parametrize("length", [1, 7, 63])
def test_gru_is_the_loop(length: int) -> None:
    attention, x = made(Gru), rows(length)
    net = attention.network
    h, out = torch.zeros(2, HEADS * WIDTH).double(), []
    for t in range(length):
        (r, z, n), (own_r, own_z, own_n) = (
            y.chunk(3, dim=-1)
            for y in (x[:, t] @ net.weight_ih_l0.T + net.bias_ih_l0, h @ net.weight_hh_l0.T + net.bias_hh_l0)
        )
        r, z = (r + own_r).sigmoid(), (z + own_z).sigmoid()
        h = z * h + (1 - z) * torch.tanh(n + r * own_n)
        out.append(h)
    compare(attention, x, attention.output(torch.stack(out, dim=1)))
