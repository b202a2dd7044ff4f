"""Mixers with a state where rows are packed, padded or read in parts; their numbers, costs and arguments."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoo.checks import Refused
from zoo.components.attention._chunks import compute_recurrence
from zoo.components.attention._recurrent import PackedRows
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
from zoo.model.interfaces import Attention
from zoo.model.mask import Mask, Tokens
from zoo.testing.subject import perturb

DIM, HEADS, WIDTH = 16, 4, 6
CLOSE = {"atol": 1e-9, "rtol": 1e-9}
NOWHERE, ROTARY = NoPosition(DIM, HEADS, WIDTH, True), Rotary(DIM, HEADS, WIDTH, True)
CHUNKED: dict[str, Callable[..., Attention]] = {
    "linear": LinearAttention,
    "retention": Retention,
    "gated_linear": GatedLinearAttention,
    "gated_delta": GatedDelta,
    "mamba2": Mamba2,
}
ALL = {**CHUNKED, "lstm": Lstm, "gru": Gru}
every = pytest.mark.parametrize("name", ALL)
every_chunked = pytest.mark.parametrize("name", CHUNKED)

# Documents of one to nine tokens with padding before, between, inside and behind them; a row of padding; a whole row.
SEGMENTS = torch.tensor(
    [
        [-1, -1, 0, 0, -1, 0, 0, 1, 2, 2, -1, 2, 2, -1, -1, 2, 2, 2, 2, 2, 3, -1],
        [0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, -1, -1, 4, 5, 5, 5, -1, -1, -1, -1],
        [-1] * 22,
        [0] * 22,
    ]
)
LENGTH = SEGMENTS.shape[1]


def made(name: str, chunk: int = 4, **options: object) -> Attention:
    """In float64, every parameter random."""
    torch.manual_seed(0)
    attention = ALL[name](DIM, HEADS, WIDTH, NoNorm, **options).double()
    perturb(attention)
    attention.chunk_size = chunk
    return attention


def rows(length: int, batch: int = len(SEGMENTS)) -> Tensor:
    return torch.randn(batch, length, DIM, generator=torch.Generator().manual_seed(1)).double().requires_grad_()


def mixed(attention: Attention, x: Tensor, tokens: Tokens, cache: Any = None) -> Tensor:
    position = ROTARY if "rotate" in attention.position_hooks else NOWHERE
    return attention(x, x, Mask(tokens, tokens, causal=True), position, cache)


def places(segments: Tensor) -> Tensor:
    """Positions that count the tokens of each document."""
    same = (segments[:, :, None] == segments[:, None, :]).tril(-1)
    return same.sum(dim=-1)


def apart(attention: Attention, x: Tensor, segments: Tensor) -> Tensor:
    """Each document mixed alone, put back where it stood; zero at padding."""
    out = torch.zeros_like(x)
    for row, document in {(int(r), int(segments[r, c])) for r, c in (segments >= 0).nonzero()}:
        own = (segments[row] == document).nonzero()[:, 0]
        alone = mixed(attention, x[row : row + 1, own], Tokens.from_length(len(own)))
        out = out.index_put((torch.tensor(row), own), alone[0])
    return out


@every
def test_documents_are_mixed_apart_wherever_padding_stands(name: str) -> None:
    attention, x, real = made(name), rows(LENGTH), SEGMENTS >= 0
    out = mixed(attention, x, Tokens.from_length(LENGTH, segment=SEGMENTS, position=places(SEGMENTS)))
    expected = apart(attention, x, SEGMENTS)
    torch.testing.assert_close(out[real], expected[real], **CLOSE)
    assert out.isfinite().all()
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    inputs = [x, *attention.parameters()]
    ours, theirs = (torch.autograd.grad((y * weight)[real].sum(), inputs, allow_unused=True) for y in (out, expected))
    assert not ours[0][~real].any()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


@every
@pytest.mark.parametrize("chunks", [[1] * LENGTH, [5, 1, 1, 6, 9], [13, 9], [2, 20]], ids=str)
@torch.no_grad()
def test_a_row_can_be_read_in_parts(name: str, chunks: list[int]) -> None:
    attention, x, real = made(name), rows(LENGTH), SEGMENTS >= 0
    expected = apart(attention, x, SEGMENTS)
    cache, parts = attention.create_cache(LENGTH), []
    for cut in torch.arange(LENGTH).split(chunks):
        tokens = Tokens(cut, places(SEGMENTS)[:, cut], SEGMENTS[:, cut])
        parts.append(mixed(attention, x[:, cut], tokens, cache))
    torch.testing.assert_close(torch.cat(parts, dim=1)[real], expected[real], **CLOSE)


@every
@torch.no_grad()
def test_rows_without_segments_are_the_first_document(name: str) -> None:
    """A prompt padded on the left, then tokens of which nothing is said; then another document."""
    attention, x = made(name), rows(9, batch=2)
    segments = torch.tensor([[-1, -1, 0, 0, 0, 0, 0, 0, 0], [0] * 9])
    expected = mixed(attention, x, Tokens.from_length(9, segment=segments))
    cache = attention.create_cache(9)
    first = mixed(attention, x[:, :4], Tokens.from_length(4, segment=segments[:, :4]), cache)
    second = mixed(attention, x[:, 4:], Tokens.from_length(5, start=4), cache)
    torch.testing.assert_close(torch.cat([first, second], dim=1)[segments >= 0], expected[segments >= 0], **CLOSE)
    alone = mixed(attention, x, Tokens.from_length(9))
    other = mixed(attention, x, Tokens.from_length(9, segment=torch.ones(2, 9, dtype=torch.long)), cache)
    torch.testing.assert_close(other, alone, **CLOSE)
    torch.testing.assert_close(mixed(attention, x, Tokens.from_length(9), cache), alone, **CLOSE)


@every
@torch.no_grad()
def test_what_is_remembered_does_not_grow(name: str) -> None:
    attention, x = made(name), rows(LENGTH)
    cache, sizes = attention.create_cache(LENGTH), []
    for start in range(4):
        mixed(attention, x[:, start : start + 1], Tokens.from_length(1, start=start), cache)
        sizes.append(cache.bytes)
    assert sizes[0] > 0
    assert len(set(sizes)) == 1
    assert all(len(item) == len(x) for item in cache.state)


@every_chunked
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_sums_are_kept_in_full_precision(name: str, dtype: torch.dtype) -> None:
    attention = made(name).to(dtype)
    cache = attention.create_cache(LENGTH)
    out = mixed(attention, rows(LENGTH).to(dtype), Tokens.from_length(LENGTH), cache)
    assert out.dtype == dtype
    assert [item.dtype for item in cache.state if item.ndim == 4] == [torch.float32] * (2 if name == "linear" else 1)


@every
@pytest.mark.parametrize("segments", [None, SEGMENTS], ids=["whole", "packed"])
def test_autocast_is_close(name: str, segments: Tensor | None) -> None:
    attention, x = made(name).float(), rows(LENGTH).detach().float() / 4
    tokens = Tokens.from_length(LENGTH, segment=segments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = mixed(attention, x, tokens)
    expected = mixed(attention, x, tokens)
    real = (torch.zeros_like(SEGMENTS) if segments is None else segments) >= 0
    error = (out[real].float() - expected[real]).square().mean().sqrt()
    assert 0 < error < 0.05 * expected[real].square().mean().sqrt()


@torch.no_grad()
def test_autocast_leaves_sums_alone() -> None:
    q, k, v = (torch.randn(2, HEADS, 9, 5, generator=torch.Generator().manual_seed(i)) for i in range(3))
    packed = PackedRows(
        torch.ones(2, 9, dtype=torch.bool), torch.zeros(2, 10, dtype=torch.long), torch.arange(9)[None], True
    )
    expected = compute_recurrence(q, k, v, torch.full((2, HEADS, 9, 1), -0.1), packed, 4, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given = compute_recurrence(q, k, v, torch.full((2, HEADS, 9, 1), -0.1), packed, 4, None)
    assert all(torch.equal(a, b) for a, b in zip(given, expected, strict=True))


@pytest.mark.parametrize("name", ["gated_linear", "gated_delta", "mamba2"])
def test_fast_forgetting_stays_exact(name: str) -> None:
    """What forgets all at once is left with each token's own write: no exponential overflows on the way."""
    attention = made(name, chunk=64)
    decay = attention.decay[1] if name == "gated_linear" else None
    with torch.no_grad():
        if decay is not None:
            decay.weight.zero_()
            decay.bias.fill_(-1e5)
        else:
            attention.step.log_rate.fill_(math.log(1e5))
            attention.step.bias.fill_(3.0)
            attention.convolution.weight[:, :-1] = 0.0
    x = rows(70)
    out = mixed(attention, x, Tokens.from_length(70))
    alone = mixed(attention, x.reshape(-1, 1, DIM), Tokens.from_length(1)).view_as(out)
    torch.testing.assert_close(out, alone, **CLOSE)
    x = x.detach().float().requires_grad_()
    out = mixed(attention.float(), x, Tokens.from_length(70))
    out.square().sum().backward()
    assert out.isfinite().all()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in attention.parameters() if p.grad is not None)


def counted(attention: Attention, *given: Any) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        attention(*given)
    return counter.get_total_flops()


def chunkwise(attention: Any, length: int, groups: int, heads: int, key: int, value: int) -> int:
    """Operations of the chunkwise form of S_t = a_t S_{t-1} + k_t v_tᵀ, y_t = S_tᵀ q_t, token by token."""
    total, size = 0, attention.chunk_size
    for i in range(length):
        total += sum(2 * (groups * key + heads * value) for j in range(i + 1) if i // size == j // size)
        total += 2 * heads * key * value * ((i // size > 0) + (i // size < (length - 1) // size))
    return total


def delta(attention: Any, length: int, groups: int, heads: int, key: int, value: int) -> int:
    """The same with what is written corrected: likeness of keys, two systems, and what the state holds already."""
    total, size = chunkwise(attention, length, groups, heads, key, value), attention.chunk_size
    for i in range(length):
        before = sum(i // size == j // size for j in range(i))
        total += 2 * before * (groups * key + heads * value)
        total += 2 * heads * (before * key + key * value) * (i // size > 0)
    return total


def networks(attention: Any, length: int, *sizes: int) -> int:
    return length * sum(2 * p.numel() for p in attention.network.parameters() if p.ndim == 2)


def needed(name: str, attention: Any, length: int) -> int:
    """Projections, and the recurrence as it is trained."""
    projections = length * sum(2 * part.weight.numel() for part in attention.modules() if isinstance(part, nn.Linear))
    heads, key = getattr(attention, "heads", 0), getattr(attention, "state", getattr(attention, "head_dim", 0))
    value = getattr(attention, "value_dim", key)
    groups = getattr(attention, "key_heads", getattr(attention, "groups", heads))
    form = {"gated_delta": delta, "lstm": networks, "gru": networks}.get(name, chunkwise)
    total = projections + form(attention, length, groups, heads, key, value)
    return total + (chunkwise(attention, length, heads, heads, key, 1) if name == "linear" else 0)


@every
@pytest.mark.parametrize("length", [1, 3, 8, 19])
def test_declared_operations_are_those_of_the_chunkwise_form(name: str, length: int) -> None:
    """Below, at and above a chunk."""
    attention, tokens = made(name, chunk=8), Tokens.from_length(length)
    assert attention.flops(Mask(tokens, tokens, causal=True)) == needed(name, attention, length)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gated_delta", {"key_heads": 2, "expand": 1}),
        ("gated_delta", {"kernel": 2}),
        ("mamba2", {"groups": 2, "state": 3}),
        ("mamba2", {"groups": 4, "expand": 1}),
    ],
    ids=str,
)
def test_operations_follow_the_options(name: str, options: dict[str, int]) -> None:
    attention, tokens = made(name, chunk=8, **options), Tokens.from_length(19)
    assert attention.flops(Mask(tokens, tokens, causal=True)) == needed(name, attention, 19)


@pytest.mark.parametrize("normalize", [True, False])
def test_operations_of_linear_follow_the_mask(normalize: bool) -> None:
    attention, x, memory = made("linear", normalize=normalize), rows(5, batch=1), rows(9, batch=1)
    tokens, source = Tokens.from_length(5), Tokens.from_length(9)
    packed = Tokens.from_length(5, segment=torch.tensor([[0, 0, 1, 1, -1]]))
    prefix = torch.tensor([2])
    for other, mask in (
        (x, Mask(tokens, tokens)),
        (memory, Mask(tokens, source)),
        (x, Mask(packed, packed)),
        (x, Mask(tokens, tokens, causal=True, prefix=prefix)),
    ):
        hidden = 0 if mask.is_plain else 25 - mask.count_pairs()
        widths = (attention.head_dim, 1) if normalize else (attention.head_dim,)
        unseen = sum(2 * attention.heads * hidden * (attention.head_dim + width) for width in widths)
        assert attention.flops(mask) == counted(attention, x, other, mask, NOWHERE) - unseen


@every_chunked
@torch.no_grad()
def test_chunks_do_not_change_what_comes_out(name: str) -> None:
    attention, x = made(name, chunk=64), rows(70)
    expected = mixed(attention, x, Tokens.from_length(70))
    for chunk in (1, 2, 16, 128):
        other = copy.deepcopy(attention)
        other.chunk_size = chunk
        torch.testing.assert_close(mixed(other, x, Tokens.from_length(70)), expected, **CLOSE)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("retention", {"expand": 0}, "expand must be positive: got expand=0"),
        ("gated_linear", {"expand": -1}, "expand must be positive: got expand=-1"),
        ("gated_linear", {"rank": 0}, "rank must be positive: got rank=0"),
        ("gated_delta", {"expand": 0}, "expand must be positive: got expand=0"),
        ("gated_delta", {"key_heads": 3}, "key_heads must divide heads: got key_heads=3, heads=4"),
        ("gated_delta", {"kernel": 0}, "kernel must be positive: got kernel=0"),
        ("mamba2", {"state": 0}, "state must be positive: got state=0"),
        ("mamba2", {"expand": 0}, "expand must be positive: got expand=0"),
        ("mamba2", {"groups": 3}, "groups must divide heads: got groups=3, heads=4"),
        ("mamba2", {"kernel": -2}, "kernel must be positive: got kernel=-2"),
    ],
)
def test_bad_arguments_are_named(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(Refused) as refusal:
        ALL[name](DIM, HEADS, WIDTH, NoNorm, **options)
    assert str(refusal.value) == message
