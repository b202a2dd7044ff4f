"""Positions against plain loops and complex numbers."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from transformers.models.bart.modeling_bart import BartLearnedPositionalEmbedding
from x_transformers.x_transformers import AlibiPositionalBias

from zoo.checks import Refused
from zoo.components.position.alibi import Alibi
from zoo.components.position.learned import Learned
from zoo.components.position.rotary import Rotary
from zoo.components.position.sinusoidal import Sinusoidal

POSITIONS = torch.tensor([[0, 1, 2, 3, 4, 5, 6], [5, 0, 0, 1, 700, 2, 3]])


@pytest.mark.parametrize("base", [10000.0, 50.0])
def test_sinusoidal_is_the_loop(base: float) -> None:
    dim = 6
    out = Sinusoidal(dim, 2, 3, True, base=base).embed(torch.zeros(2, 7, dim), POSITIONS)
    for row in range(2):
        for place in range(7):
            for i in range(dim // 2):
                angle = int(POSITIONS[row, place]) / base ** (2 * i / dim)
                assert float(out[row, place, 2 * i]) == pytest.approx(math.sin(angle), abs=1e-4)
                assert float(out[row, place, 2 * i + 1]) == pytest.approx(math.cos(angle), abs=1e-4)


@pytest.mark.parametrize("base", [10000.0, 50.0])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("width", [2, 8])
def test_rotary_multiplies_complex_numbers(width: int, interleaved: bool, base: float) -> None:
    x = torch.randn(2, 3, 7, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotary = Rotary(0, 3, width, True, base=base, interleaved=interleaved)
    q, k = rotary.rotate_queries(x, POSITIONS), rotary.rotate_keys(x, POSITIONS)
    assert torch.equal(q, k)
    for row in range(2):
        for place in range(7):
            for i in range(width // 2):
                a, b = (2 * i, 2 * i + 1) if interleaved else (i, i + width // 2)
                turn = cmath.exp(1j * int(POSITIONS[row, place]) / base ** (2 * i / width))
                for head in range(3):
                    z = complex(x[row, head, place, a], x[row, head, place, b]) * turn
                    assert complex(q[row, head, place, a], q[row, head, place, b]) == pytest.approx(z, abs=2e-4)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_products_depend_on_distance_only(interleaved: bool) -> None:
    rotary = Rotary(0, 1, 8, True, interleaved=interleaved)
    q, k = torch.randn(2, 1, 1, 7, 8, generator=torch.Generator().manual_seed(0))
    near, far = (
        rotary.rotate_queries(q, p) @ rotary.rotate_keys(k, p).mT
        for p in (torch.arange(7)[None], torch.arange(7)[None] + 90)
    )
    torch.testing.assert_close(near, far, atol=1e-4, rtol=1e-4)


def paper_slopes(heads: int) -> list[float]:
    """The recursion that the paper's authors published."""
    if math.log2(heads).is_integer():
        start = 2 ** (-(2 ** -(math.log2(heads) - 3)))
        return [start * start**i for i in range(heads)]
    lower = 2 ** math.floor(math.log2(heads))
    return paper_slopes(lower) + paper_slopes(2 * lower)[0::2][: heads - lower]


@pytest.mark.parametrize("heads", [1, 2, 3, 8, 12])
def test_alibi_is_the_loop(heads: int) -> None:
    keys = torch.tensor([[0, 4, 9], [1, 2, 3]])
    bias = Alibi(0, heads, 4, True).bias(torch.zeros(2, heads, 7, 4), POSITIONS, keys)
    assert bias.shape == (2, heads, 7, 3)
    for row in range(2):
        for head, slope in enumerate(paper_slopes(heads)):
            for i in range(7):
                for j in range(3):
                    distance = abs(int(POSITIONS[row, i]) - int(keys[row, j]))
                    assert float(bias[row, head, i, j]) == pytest.approx(-slope * distance, rel=1e-5)


@pytest.mark.parametrize("heads", [4, 6])
def test_alibi_is_that_of_x_transformers(heads: int) -> None:
    theirs = AlibiPositionalBias(heads).forward_custom_pos(POSITIONS, POSITIONS)
    ours = Alibi(0, heads, 4, True).bias(torch.zeros(2, heads, 7, 4), POSITIONS, POSITIONS)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("offset", [0, 2])
def test_learned_adds_the_vector_of_each_position(offset: int) -> None:
    learned = Learned(4, 1, 4, True, length=701, offset=offset)
    assert learned.table.weight.shape == (701 + offset, 4)
    x = torch.randn(2, 7, 4)
    out = learned.embed(x, POSITIONS)
    for row in range(2):
        for place in range(7):
            vector = learned.table.weight[int(POSITIONS[row, place]) + offset]
            assert torch.equal(out[row, place], x[row, place] + vector)
    out.sum().backward()
    assert learned.table.weight.grad is not None
    assert not learned.table.weight.grad[:offset].any()


def test_learned_places_are_those_of_bart() -> None:
    bart = BartLearnedPositionalEmbedding(9, 4)
    learned = Learned(4, 1, 4, True, length=9, offset=2)
    learned.load_state_dict({"table.weight": bart.weight})
    tokens = torch.zeros(2, 5, dtype=torch.long)
    for start in (0, 4):
        out = learned.embed(torch.zeros(2, 5, 4), torch.arange(start, start + 5)[None])
        assert torch.equal(out, bart(tokens, start).expand(2, -1, -1))


@pytest.mark.parametrize("offset", [0, 2])
def test_learned_looks_at_positions_not_at_the_length_of_a_row(offset: int) -> None:
    learned = Learned(4, 1, 4, True, length=3, offset=offset)
    packed = torch.tensor([[0, 1, 2, 0, 1, 0, 1, 2]])
    assert learned.embed(torch.zeros(1, 8, 4), packed).shape == (1, 8, 4)
    assert learned.embed(torch.zeros(1, 0, 4), packed[:, :0]).shape == (1, 0, 4)
    with pytest.raises(Refused, match="length=3 and a token at position 3"):
        learned.embed(torch.zeros(1, 1, 4), torch.tensor([[3]]))
    with pytest.raises(Refused, match="offset must not be negative: got offset=-1"):
        Learned(4, 1, 4, True, offset=-1)


def test_odd_widths_are_refused() -> None:
    with pytest.raises(Refused, match="head_dim must be even: got head_dim=3"):
        Rotary(6, 2, 3, True)
    with pytest.raises(Refused, match="dim must be even: got dim=5"):
        Sinusoidal(5, 1, 5, True)
