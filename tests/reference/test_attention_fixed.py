"""Mixing that does not look at the tokens: synthesizer against a loop, Fourier against FNet and the plain sum."""

from __future__ import annotations

import cmath
import math
import re

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import FNetConfig
from transformers.models.fnet.modeling_fnet import FNetBasicFourierTransform

from zoo.checks import Refused
from zoo.components.attention.fourier import FourierMixing
from zoo.components.attention.synthesizer import SynthesizerAttention
from zoo.components.norm.none import NoNorm
from zoo.components.position.none import NoPosition
from zoo.model.capture import capture
from zoo.model.mask import Mask, Tokens
from zoo.testing.subject import perturb

DIM, HEADS, WIDTH = 16, 4, 6
NOWHERE = NoPosition(DIM, HEADS, WIDTH, True)
PACKED = [[0, 0, 0, 0, 0, 0, 0], [-1, -1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, -1], [-1, -1, -1, -1, -1, -1, -1]]
PLACES = [[0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 2, 3, 4], [0, 1, 2, 0, 1, 2, 3], [0, 0, 0, 0, 0, 0, 0]]


def random(rows: int, length: int) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randn(rows, length, DIM, generator=generator, dtype=torch.float64).requires_grad_()


def gradients(out: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return torch.autograd.grad((out * weight).sum(), inputs)


def mixed(attention: SynthesizerAttention, x: Tensor, places: list[int], causal: bool) -> Tensor:
    """One document ``[length, dim]``; one head and token after another."""
    table = attention.rows @ attention.columns.mT if attention.rank else attention.table
    v = attention.value(x)
    rows = []
    for i, place in enumerate(places):
        found = []
        for head in range(HEADS):
            seen = range(i + 1) if causal else range(len(places))
            weights = torch.stack([table[head, place, places[j]].exp() for j in seen])
            values = torch.stack([v[j, head * WIDTH : (head + 1) * WIDTH] for j in seen])
            found.append(weights @ values / weights.sum())
        rows.append(attention.output(torch.cat(found)))
    return torch.stack(rows)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("length", [1, 7])
def test_synthesizer_is_the_loop(length: int, rank: int | None, causal: bool) -> None:
    attention = SynthesizerAttention(DIM, HEADS, WIDTH, NoNorm, length=9, rank=rank).double()
    perturb(attention)
    x, tokens = random(2, length), Tokens.from_length(length)
    out = attention(x, x, Mask(tokens, tokens, causal), NOWHERE)
    expected = torch.stack([mixed(attention, row, list(range(length)), causal) for row in x])
    torch.testing.assert_close(out, expected)
    inputs = [x, *attention.parameters()]
    for ours, theirs in zip(gradients(out, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("rank", [None, 2])
def test_scores_of_a_synthesizer_restart_with_each_document(rank: int | None) -> None:
    attention = SynthesizerAttention(DIM, HEADS, WIDTH, NoNorm, length=7, rank=rank).double()
    perturb(attention)
    x, tokens = random(4, 7), Tokens.from_length(7, position=torch.tensor(PLACES), segment=torch.tensor(PACKED))
    out = attention(x, x, Mask(tokens, tokens, causal=True), NOWHERE)
    for row, number, first, length in ((0, 0, 0, 7), (1, 0, 2, 5), (2, 0, 0, 3), (2, 1, 3, 3)):
        assert PACKED[row][first : first + length] == [number] * length
        document = x[row, first : first + length]
        torch.testing.assert_close(
            out[row, first : first + length], mixed(attention, document, list(range(length)), True)
        )


@pytest.mark.parametrize("rank", [None, 3])
def test_a_new_synthesizer_averages_nearly_evenly(rank: int | None) -> None:
    torch.manual_seed(0)
    attention, tokens = SynthesizerAttention(DIM, HEADS, WIDTH, NoNorm, length=64, rank=rank), Tokens.from_length(64)
    x = torch.randn(1, 64, DIM)
    with capture() as records:
        attention(x, x, Mask(tokens, tokens), NOWHERE)
    weights = records[0].weights
    assert ((weights * 64 - 1).abs() < 0.2).all()
    assert (weights * 64 - 1).std() == pytest.approx(0.02, rel=0.3)


def test_a_synthesizers_operations_are_counted_ones() -> None:
    for rank in (None, 3):
        attention = SynthesizerAttention(DIM, HEADS, WIDTH, NoNorm, rank=rank).double()
        x, mask = random(1, 7), Mask(tokens := Tokens.from_length(7), tokens)
        with FlopCounterMode(display=False) as counter:
            attention(x, x, mask, NOWHERE)
        assert attention.flops(mask) == counter.get_total_flops()


def test_a_row_beyond_the_table_is_refused() -> None:
    attention, tokens = SynthesizerAttention(DIM, HEADS, WIDTH, NoNorm, length=6).double(), Tokens.from_length(7)
    assert attention.limit == 6
    with pytest.raises(Refused, match="length must be at least the tokens of a row: got length=6 and 7 tokens"):
        attention(random(1, 7), random(1, 7), Mask(tokens, tokens), NOWHERE)


@pytest.mark.parametrize(
    ("options", "line"),
    [({"length": 0}, "length must be positive: got length=0"), ({"rank": 0}, "rank must be positive: got rank=0")],
)
def test_bad_tables_are_refused(options: dict[str, int], line: str) -> None:
    with pytest.raises(Refused, match=f"^{re.escape(line)}$"):
        SynthesizerAttention(DIM, HEADS, WIDTH, NoNorm, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [1, 7, 63])
def test_fourier_is_fnets(length: int) -> None:
    theirs, ours = FNetBasicFourierTransform(FNetConfig(hidden_size=DIM)), FourierMixing(DIM, HEADS, WIDTH, NoNorm)
    x, tokens = random(2, length), Tokens.from_length(length)
    out, (expected,) = ours(x, x, Mask(tokens, tokens), NOWHERE), theirs(x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(gradients(out, [x]), gradients(expected, [x]))


def plain(x: Tensor) -> Tensor:
    """One document ``[length, dim]``: the double sum of the definition, its cosine for each pair of places."""
    length, dim = x.shape
    rows = []
    for k in range(length):
        for m in range(dim):
            turns = [
                [cmath.exp(-2j * math.pi * (k * n / length + m * d / dim)).real for d in range(dim)]
                for n in range(length)
            ]
            rows.append((x * torch.tensor(turns, dtype=x.dtype)).sum())
    return torch.stack(rows).view(length, dim)


@pytest.mark.parametrize("unitary", [False, True])
def test_fourier_takes_each_document_alone(unitary: bool) -> None:
    """Documents of several lengths, two of them alike; padding and its row stay zero."""
    ours = FourierMixing(DIM, HEADS, WIDTH, NoNorm, unitary=unitary)
    x, tokens = random(4, 7), Tokens.from_length(7, segment=torch.tensor(PACKED))
    expected = torch.zeros(4, 7, DIM, dtype=torch.float64)
    for row, first, length in ((0, 0, 7), (1, 2, 5), (2, 0, 3), (2, 3, 3)):
        scale = 1 / math.sqrt(length * DIM) if unitary else 1
        expected[row, first : first + length] = scale * plain(x[row, first : first + length])
    out = ours(x, x, Mask(tokens, tokens), NOWHERE)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(gradients(out, [x]), gradients(expected, [x]))


def test_a_unitary_transform_of_features_and_tokens_is_the_scaled_one() -> None:
    one, other = (FourierMixing(DIM, HEADS, WIDTH, NoNorm, unitary=unitary) for unitary in (False, True))
    x, mask = random(2, 7), Mask(tokens := Tokens.from_length(7), tokens)
    torch.testing.assert_close(one(x, x, mask, NOWHERE) / math.sqrt(7 * DIM), other(x, x, mask, NOWHERE))
