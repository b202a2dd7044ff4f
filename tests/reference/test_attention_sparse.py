"""Attentions that see a part of the keys: block-local against a loop, the largest scores against x-transformers."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor
from x_transformers.attend import Attend

from tests.reference.test_attention import loop
from zoo.checks import Refused
from zoo.components.attention._dot_product import DotProductAttention
from zoo.components.attention.local import LocalAttention
from zoo.components.attention.sparse_top_k import SparseTopKAttention
from zoo.components.norm.none import NoNorm
from zoo.components.position.alibi import Alibi
from zoo.components.position.none import NoPosition
from zoo.model.attend import Scores
from zoo.model.capture import capture
from zoo.model.mask import Mask, Tokens
from zoo.testing.subject import perturb

DIM, HEADS, WIDTH = 16, 4, 6
NOWHERE = NoPosition(DIM, HEADS, WIDTH, True)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def lively(attention: DotProductAttention) -> DotProductAttention:
    perturb(attention.double())
    return attention


def random(rows: int, length: int) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randn(rows, length, DIM, generator=generator, dtype=torch.float64).requires_grad_()


def gradients(out: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return torch.autograd.grad((out * weight).sum(), inputs)


PACKED = [[0, 0, 0, 0, 0, 0, 0, 0], [-1, -1, -1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1, 1]]
PLACES = [[0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 0, 1, 2, 3, 4], [0, 1, 2, 0, 1, 2, 3, 4]]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("block", "look_back"), [(1, 0), (2, 0), (3, 1), (2, 2), (100, 1)])
@pytest.mark.parametrize("window", [None, 3])
def test_local_is_the_loop(window: int | None, block: int, look_back: int, causal: bool) -> None:
    """Rows that are whole, padded on the left, and of two documents: blocks count from the start of each document."""
    attention = lively(
        LocalAttention(DIM, HEADS, WIDTH, NoNorm, block=block, look_back=look_back, scores=Scores(window))
    )
    x = random(3, 8)
    tokens = Tokens.from_length(8, position=torch.tensor(PLACES), segment=torch.tensor(PACKED))
    visible = torch.zeros(3, 8, 8, dtype=torch.bool)
    for row in range(3):
        for i in range(8):
            for j in range(8):
                one = PACKED[row][i] == PACKED[row][j] >= 0
                near = abs(PLACES[row][i] // block - PLACES[row][j] // block) <= look_back
                visible[row, i, j] = one and near and (not causal or j <= i) and (window is None or abs(i - j) < window)
    real = tokens.segment >= 0
    out = attention(x, x, Mask(tokens, tokens, causal), NOWHERE)[real]
    seeing = visible | (torch.eye(8, dtype=torch.bool) & ~real[:, :, None])  # the loop divides by zero at padding
    expected = loop(attention, x, x, seeing)[real]
    torch.testing.assert_close(out, expected)
    inputs = [x, *attention.parameters()]
    for ours, theirs in zip(gradients(out, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert attention.count_pairs(Mask(tokens, tokens, causal)) == int(visible.sum())


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 2, 4])
@pytest.mark.parametrize(("start", "query", "key"), [(0, 9, 9), (8, 1, 9), (5, 4, 9), (0, 1, 1), (0, 3, 0)])
def test_local_pairs_are_those_of_the_matrix(
    start: int, query: int, key: int, window: int | None, causal: bool
) -> None:
    """The count without a matrix, of a whole row and of its last tokens, is that of a matrix."""
    for block, look_back in ((2, 0), (3, 1), (2, 3)):
        attention = LocalAttention(DIM, HEADS, WIDTH, NoNorm, block=block, look_back=look_back, scores=Scores(window))
        mask = Mask(Tokens.from_length(query, start=start), Tokens.from_length(key), causal)
        i, j = mask.query.index[:, None], mask.key.index[None]
        seen = ((i // block - j // block).abs() <= look_back) & mask.restrict_window(window).materialize()
        assert attention.count_pairs(mask) == int(seen.sum())


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("keep", [2, 3, 8])
@pytest.mark.parametrize("length", [1, 7, 63])
def test_the_largest_scores_are_x_transformers(length: int, keep: int, causal: bool) -> None:
    attention = lively(SparseTopKAttention(DIM, HEADS, WIDTH, NoNorm, keep=keep))
    x, tokens = random(2, length), Tokens.from_length(length)
    parts = (attention.query, attention.key, attention.value)
    q, k, v = (part(x).view(2, length, HEADS, WIDTH).transpose(1, 2) for part in parts)
    theirs, _ = Attend(heads=HEADS, causal=causal, sparse_topk=min(keep, length))(q, k, v)
    expected = attention.output(theirs.transpose(1, 2).flatten(2))
    out = attention(x, x, Mask(tokens, tokens, causal), NOWHERE)
    torch.testing.assert_close(out, expected, **CLOSE)
    inputs = [x, *attention.parameters()]
    for ours, other in zip(gradients(out, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(ours, other, **CLOSE)


@pytest.mark.parametrize("scores", [Scores(), Scores(softcap=0.5), Scores(window=4, sinks=True), Scores(scale=-0.5)])
@pytest.mark.parametrize("position", [NOWHERE, Alibi(DIM, HEADS, WIDTH, True)], ids=["none", "alibi"])
def test_exactly_the_largest_are_left(scores: Scores, position: NoPosition | Alibi) -> None:
    """Whatever forms the scores: the weights that are left are the largest of all weights, and as many as asked for."""
    attention = lively(SparseTopKAttention(DIM, HEADS, WIDTH, NoNorm, keep=3, scores=scores))
    x = random(3, 8)
    tokens = Tokens.from_length(8, position=torch.tensor(PLACES), segment=torch.tensor(PACKED))
    mask = Mask(tokens, tokens, causal=True)
    with capture() as captured:
        attention(x, x, mask, position)
        attention.keep = 8
        attention(x, x, mask, position)
    few, all_of_them = (record.weights for record in captured)
    visible = mask.restrict_window(scores.window).materialize().sum(dim=-1)[:, None]
    assert torch.equal((few > 0).sum(dim=-1), visible.clamp(max=3).expand(-1, HEADS, -1))
    smallest = torch.where(few > 0, all_of_them, 2.0).amin(dim=-1, keepdim=True)
    assert not (all_of_them > smallest)[few == 0].any()


def test_equal_scores_at_the_edge_all_stay() -> None:
    attention = lively(SparseTopKAttention(DIM, HEADS, WIDTH, NoNorm, keep=2))
    x, tokens = random(1, 1).expand(1, 5, -1), Tokens.from_length(5)
    with capture() as captured:
        attention(x, x, Mask(tokens, tokens), NOWHERE)
    torch.testing.assert_close(captured[0].weights, torch.full_like(captured[0].weights, 0.2))


@pytest.mark.parametrize("causal", [True, False])
def test_all_scores_and_the_values_that_are_kept_are_declared(causal: bool) -> None:
    attention = lively(SparseTopKAttention(DIM, HEADS, WIDTH, NoNorm, keep=3))
    for length in (3, 7):
        tokens = Tokens.from_length(length)
        seen = [i + 1 if causal else length for i in range(length)]
        products = 2 * HEADS * WIDTH * sum(n + min(n, 3) for n in seen)
        projections = length * sum(2 * p.numel() for p in attention.parameters() if p.ndim == 2)
        assert attention.flops(Mask(tokens, tokens, causal=causal)) == projections + products


@pytest.mark.parametrize(
    ("make", "options", "line"),
    [
        (LocalAttention, {"block": 0}, "block must be positive: got block=0"),
        (LocalAttention, {"look_back": -1}, "look_back must be between 0 and inf: got look_back=-1"),
        (
            SparseTopKAttention,
            {"keep": 1},
            "keep must be at least 2, since a single key always has weight 1: got keep=1",
        ),
    ],
)
def test_bad_options_are_refused(make: type[DotProductAttention], options: dict[str, int], line: str) -> None:
    with pytest.raises(Refused, match=f"^{re.escape(line)}$"):
        make(DIM, HEADS, WIDTH, NoNorm, **options)  # type: ignore[call-arg]
