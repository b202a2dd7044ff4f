"""What every attention keeps, with options at which a short row has many blocks; conformance tests take defaults."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zoo.components.attention.local import LocalAttention
from zoo.components.attention.native_sparse import NativeSparseAttention
from zoo.components.attention.sparse_top_k import SparseTopKAttention
from zoo.components.attention.synthesizer import SynthesizerAttention
from zoo.components.norm.rms import RmsNorm
from zoo.components.position.rotary import Rotary
from zoo.model.interfaces import Attention, Norm
from zoo.model.mask import Mask, Tokens
from zoo.testing.subject import perturb

DIM, HEADS, WIDTH, LENGTH = 16, 4, 4, 12
CLOSE = {"atol": 1e-9, "rtol": 1e-9}
POSITION = Rotary(DIM, HEADS, WIDTH, True)


def rms(width: int) -> Norm:
    return RmsNorm(width)


MAKERS: dict[str, Callable[[], Attention]] = {
    "local(3, 0)": lambda: LocalAttention(DIM, HEADS, WIDTH, rms, block=3, look_back=0),
    "local(2, 1)": lambda: LocalAttention(DIM, HEADS, WIDTH, rms, block=2, look_back=1),
    "sparse_top_k(2)": lambda: SparseTopKAttention(DIM, HEADS, WIDTH, rms, keep=2),
    "synthesizer(12)": lambda: SynthesizerAttention(DIM, HEADS, WIDTH, rms, length=LENGTH),
    "native_sparse(2, 1, 3)": lambda: NativeSparseAttention(
        DIM, HEADS, WIDTH, rms, block=2, keep=1, window=3, kv_heads=2
    ),
    "native_sparse(3, 2, 1)": lambda: NativeSparseAttention(
        DIM, HEADS, WIDTH, rms, block=3, keep=2, window=2, kv_heads=4
    ),
}


@pytest.fixture(params=MAKERS)
def attention(request: pytest.FixtureRequest) -> Attention:
    torch.manual_seed(0)
    made = MAKERS[request.param]().double().eval()
    perturb(made)
    return made


def random(rows: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(rows, LENGTH, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cut(tokens: Tokens, start: int, length: int) -> Tokens:
    here = slice(start, start + length)
    segment = None if tokens.segment is None else tokens.segment[:, here]
    return Tokens(tokens.index[here], tokens.position[:, here], segment)


def in_chunks(attention: Attention, x: Tensor, tokens: Tokens, chunks: list[int]) -> Tensor:
    cache, parts, start = attention.create_cache(LENGTH), [], 0
    for length in chunks:
        part, here = x[:, start : start + length], cut(tokens, start, length)
        parts.append(attention(part, part, Mask(here, here, causal=True), POSITION, cache))
        start += length
    return torch.cat(parts, dim=1)


ROWS = {
    "whole": Tokens.from_length(LENGTH),
    "padded and packed": Tokens.from_length(
        LENGTH,
        position=torch.tensor([[0] * 3 + [*range(9)], [*range(5), *range(7)]]),
        segment=torch.tensor([[-1] * 3 + [0] * 9, [0] * 5 + [1] * 7]),
    ),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("chunks", [[1] * LENGTH, [5, 1, 1, 5], [1, 4, 4, 3], [LENGTH]], ids=str)
@torch.no_grad()
def test_cached_is_full(attention: Attention, rows: str, chunks: list[int]) -> None:
    x, tokens = random(), ROWS[rows]
    whole = attention(x, x, Mask(tokens, tokens, causal=True), POSITION)
    found = in_chunks(attention, x, tokens, chunks)
    real = torch.ones(2, LENGTH, dtype=torch.bool) if tokens.segment is None else tokens.segment >= 0
    torch.testing.assert_close(found[real], whole[real], **CLOSE)


@torch.no_grad()
def test_documents_do_not_meet_and_padding_is_not_seen(attention: Attention) -> None:
    x, tokens = random(), ROWS["padded and packed"]
    packed = attention(x, x, Mask(tokens, tokens, causal=True), POSITION)
    for row, start, length in ((0, 3, 9), (1, 0, 5), (1, 5, 7)):
        own, alone = x[row : row + 1, start : start + length], Tokens.from_length(length)
        expected = attention(own, own, Mask(alone, alone, causal=True), POSITION)
        torch.testing.assert_close(packed[row : row + 1, start : start + length], expected, **CLOSE)


def test_no_gradient_comes_from_later_tokens(attention: Attention) -> None:
    x, tokens = random().requires_grad_(), Tokens.from_length(LENGTH)
    out = attention(x, x, Mask(tokens, tokens, causal=True), POSITION)
    for at in (0, 4, 7):
        (gradient,) = torch.autograd.grad(out[:, at].square().sum(), x, retain_graph=True)
        assert not gradient[:, at + 1 :].any()
        assert gradient[:, at].any()


def test_every_parameter_gets_a_gradient(attention: Attention) -> None:
    x, tokens = random(), Tokens.from_length(LENGTH)
    out = attention(x, x, Mask(tokens, tokens, causal=True), POSITION)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    assert not [name for name, p in attention.named_parameters() if p.grad is None or not p.grad.any()]


def test_a_row_of_padding_stays_finite(attention: Attention) -> None:
    x = random().requires_grad_()
    tokens = Tokens.from_length(LENGTH, segment=torch.tensor([[0], [-1]]).repeat(1, LENGTH))
    out = attention(x, x, Mask(tokens, tokens, causal=True), POSITION)
    out.square().sum().backward()
    assert out.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in (x, *attention.parameters()))
