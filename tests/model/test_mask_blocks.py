"""Attention in blocks, against attention over the whole mask."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.components.position.alibi import Alibi
from zoo.components.position.none import NoPosition
from zoo.model import mask_blocks
from zoo.model.attend import Scores, attend
from zoo.model.capture import capture
from zoo.model.mask import Mask, Tokens
from zoo.model.mask_blocks import find_blocks

ROWS, LENGTH, HEADS, WIDTH = 2, 13, 4, 6
POSITIONS = {"none": NoPosition(8, HEADS, WIDTH, True), "alibi": Alibi(8, HEADS, WIDTH, True)}
SEGMENTS = {
    "whole": None,
    "packed": [[0] * 5 + [1] + [2] * 7, [0] * 9 + [1] * 3 + [-1]],
    "padded left": [[-1] * 3 + [0] * 10, [0] * 13],
    "empty row": [[-1] * 13, [0] * 6 + [1] * 7],
}


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of two or four queries, whatever they cost."""
    monkeypatch.setattr(mask_blocks, "CALL_COST", {"cpu": 0, "other": 0})
    monkeypatch.setattr(mask_blocks, "SMALLEST", 2)
    monkeypatch.setattr(mask_blocks, "LARGEST", 4)


def make_tokens(kind: str, start: int = 0) -> Tokens:
    segments = SEGMENTS[kind]
    if segments is None:
        return Tokens.from_length(LENGTH, start=start)
    segment = torch.tensor(segments)
    first = torch.zeros_like(segment)  # where the document of each token begins
    for row, column in itertools.product(range(ROWS), range(1, LENGTH)):
        same = segment[row, column] == segment[row, column - 1]
        first[row, column] = first[row, column - 1] if same else column
    return Tokens.from_length(LENGTH, position=torch.arange(LENGTH) - first, segment=segment)


def draw_inputs(kv_heads: int = HEADS, length: int = LENGTH, rows: int = ROWS) -> list[Tensor]:
    """Draws queries, keys and values as split heads are: ``[rows, length, heads, width]``, transposed."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(rows, length, heads, width) for heads, width in ((HEADS, WIDTH), (kv_heads, WIDTH), (kv_heads, 5))]
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [x.transpose(1, 2).requires_grad_() for x in drawn]


def compute_gradients(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad((out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum(), inputs))


@pytest.mark.parametrize("limit", ["none", "window", "wide window", "prefix", "prefix and window", "blocks"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", SEGMENTS)
@pytest.mark.parametrize(
    ("position", "scores", "kv_heads"),
    [("none", Scores(), 4), ("alibi", Scores(), 2), ("none", Scores(softcap=0.7), 2), ("alibi", Scores(sinks=True), 4)],
)
def test_blocks_compute_what_the_whole_mask_does(
    position: str, scores: Scores, kv_heads: int, kind: str, causal: bool, limit: str, tiny_blocks: None
) -> None:
    """Output and gradients; ``capture`` takes the plain path over the whole matrix."""
    tokens = make_tokens(kind)
    prefix = torch.tensor([6, 2]) if "prefix" in limit else None
    window = {"window": 3, "wide window": 7, "prefix and window": 5}.get(limit)
    mask = Mask(tokens, tokens, causal, window, prefix)
    mask = mask.restrict_blocks(2, 1) if limit == "blocks" else mask
    is_limited = limit not in ("none", "prefix") or (limit == "prefix" and causal)
    assert (find_blocks(mask, ROWS) is not None) == (kind != "whole" or is_limited)
    sinks = torch.linspace(-1, 1, HEADS, dtype=torch.float64).requires_grad_() if scores.sinks else None
    inputs = draw_inputs(kv_heads)
    differentiated = inputs if sinks is None else [*inputs, sinks]
    in_blocks = attend(*inputs, mask, POSITIONS[position], scores, sinks)
    with capture():
        whole = attend(*inputs, mask, POSITIONS[position], scores, sinks)
    torch.testing.assert_close(in_blocks, whole, atol=1e-9, rtol=1e-9)
    pairs = zip(compute_gradients(in_blocks, differentiated), compute_gradients(whole, differentiated), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


def test_blocks_call_kernels_that_know_the_structure(tiny_blocks: None) -> None:
    """Documents need no mask; padding needs no call; queries in the middle of a row share the mask of a window."""
    tokens = make_tokens("packed")
    blocks = find_blocks(Mask(tokens, tokens, causal=True), ROWS)
    assert blocks is not None
    assert [block.queries for block in blocks.items] == [(0, 5), (5, 6), (6, 13), (13, 22), (22, 25), (25, 26)]
    assert [block.mask is not None and block.mask.is_plain for block in blocks.items] == [True] * 5 + [False]
    tokens = Tokens.from_length(64)
    blocks = find_blocks(Mask(tokens, tokens, causal=True, window=9), ROWS)
    assert blocks is not None
    middle = [block.mask for block in blocks.items[8:]]
    assert len({id(mask.materialize()) for mask in middle if mask is not None}) == 1


def test_interleaved_documents_have_no_blocks(tiny_blocks: None) -> None:
    segment = torch.tensor([[0, 0, 1, 1, 0, 0]])
    tokens = Tokens.from_length(6, segment=segment)
    assert find_blocks(Mask(tokens, tokens, causal=True), 1) is None


def test_blocks_of_positions_that_jump_are_not_guessed(tiny_blocks: None) -> None:
    """Ranges of keys need positions that count; the mask itself does not."""
    tokens = Tokens.from_length(LENGTH, position=torch.arange(0, 2 * LENGTH, 2)[None])
    assert find_blocks(Mask(tokens, tokens, causal=True).restrict_blocks(2, 1), ROWS) is None


def test_blocks_that_do_not_pay_are_left_out() -> None:
    """Many short documents in short rows: calls of a kernel would cost more than hidden pairs."""
    for length, pays in ((64, False), (512, True)):
        segment = torch.arange(length)[None].repeat(2, 1) // 16
        tokens = Tokens.from_length(length, segment=segment)
        assert (find_blocks(Mask(tokens, tokens, causal=True), 2) is not None) == pays


@pytest.mark.parametrize("limit", ["window", "blocks", "documents"])
def test_cost_grows_with_the_pairs_that_are_seen(limit: str) -> None:
    """Eight times as long a row: eight times the pairs that are computed, and no tensor of the square of the length."""
    computed = {}
    for length in (1024, 8192):
        segment = (torch.arange(length) // 256)[None] if limit == "documents" else None
        position = torch.arange(length)[None] % 256 if limit == "documents" else None
        tokens = Tokens.from_length(length, position=position, segment=segment)
        mask = Mask(tokens, tokens, causal=True, window=256 if limit == "window" else None)
        mask = mask.restrict_blocks(128, 1) if limit == "blocks" else mask
        blocks = find_blocks(mask, 1)
        assert blocks is not None
        computed[length] = sum(block.pairs for block in blocks.items) / length
        with _LargestTensor() as largest:
            out = attend(*(x.float() for x in draw_inputs(length=length, rows=1)), mask, POSITIONS["none"], Scores())
            out.sum().backward()
        assert largest.elements <= 16 * HEADS * length * WIDTH
    assert computed[8192] <= 1.15 * computed[1024]


class _LargestTensor(TorchDispatchMode):
    """Finds the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else (out,):
            self.elements = max(self.elements, x.numel() if isinstance(x, Tensor) else 0)
        return out
