"""Native sparse attention against a loop over documents, tokens and heads."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoo.checks import Refused
from zoo.components.attention._blocks import Blocks
from zoo.components.attention.native_sparse import NativeSparseAttention
from zoo.components.norm.none import NoNorm
from zoo.components.position.alibi import Alibi
from zoo.components.position.none import NoPosition
from zoo.components.position.rotary import Rotary
from zoo.model.capture import capture
from zoo.model.interfaces import Position
from zoo.model.mask import Mask, Tokens
from zoo.testing.subject import perturb

DIM, HEADS, WIDTH = 16, 4, 6


def summary(network: nn.Module, inside: Tensor) -> Tensor:
    """``[block, width]`` to ``[width]``."""
    return network.down(nn.functional.gelu(network.up(inside.reshape(-1))))


def turned(position: Position, x: Tensor, place: int) -> Tensor:
    """One vector as it stands at a place."""
    return position.rotate_keys(x[None, None, None], torch.tensor([[place]]))[0, 0, 0]


def softmax(q: Tensor, keys: list[Tensor], slope: float, distances: list[int]) -> Tensor:
    scores = [q @ k / WIDTH**0.5 - slope * distance for k, distance in zip(keys, distances, strict=True)]
    return torch.stack(scores).softmax(dim=0)


def average(weights: Tensor, values: list[Tensor]) -> Tensor:
    return sum((w * v for w, v in zip(weights, values, strict=True)), torch.zeros(()))


def document(attention: NativeSparseAttention, x: Tensor, position: Position, slopes: list[float]) -> Tensor:
    """One document ``[length, dim]``, from equations 5 to 12 of the paper, its blocks not overlapping."""
    block, kv, group = attention.block, attention.kv_heads, HEADS // attention.kv_heads
    q = attention.query(x).view(-1, HEADS, WIDTH)
    k, v = (part(x).view(-1, 3, kv, WIDTH) for part in (attention.key, attention.value))
    gate = attention.gate(x).view(-1, 3, HEADS).sigmoid()
    out = []
    for t in range(len(x)):
        heads: list[Tensor] = []
        for shared in range(kv):
            ends = range(block - 1, t + 1, block)
            cut = [slice(end - block + 1, end + 1) for end in ends]
            keys = [turned(position, summary(attention.key_summary, k[c, 0, shared]), c.stop - 1) for c in cut]
            values = [summary(attention.value_summary, v[c, 0, shared]) for c in cut]
            mine = [turned(position, q[t, shared * group + h], t) for h in range(group)]
            far = [t - end for end in ends]
            weights = [
                softmax(mine[h], keys, slopes[shared * group + h], far) if keys else x[:0, 0] for h in range(group)
            ]
            total = {b: sum(float(w[b].detach()) for w in weights) for b in range(len(keys)) if b != t // block}
            best = sorted(total, key=lambda b: -total[b])[: attention.keep]
            chosen = [s for s in range(t + 1) if s // block in best or s // block == t // block]
            last = list(range(max(0, t - attention.window + 1), t + 1))
            for h in range(group):
                head = shared * group + h
                mixed = gate[t, 0, head] * average(weights[h], values)
                for branch, seen in ((1, chosen), (2, last)):
                    near = [turned(position, k[s, branch, shared], s) for s in seen]
                    w = softmax(mine[h], near, slopes[head], [t - s for s in seen])
                    mixed = mixed + gate[t, branch, head] * average(w, [v[s, branch, shared] for s in seen])
                heads.append(mixed)
        out.append(attention.output(torch.cat(heads)))
    return torch.stack(out)


def lively(**options: int) -> NativeSparseAttention:
    torch.manual_seed(0)
    attention = NativeSparseAttention(DIM, HEADS, WIDTH, NoNorm, **options).double()
    perturb(attention)
    return attention


def gradients(out: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return torch.autograd.grad((out * weight).sum(), inputs, allow_unused=True)


@pytest.mark.parametrize("length", [1, 7, 13])
@pytest.mark.parametrize(
    "options",
    [
        {"block": 2, "keep": 1, "window": 3},
        {"block": 3, "keep": 2, "window": 2, "kv_heads": 4},
        {"block": 4, "keep": 8, "window": 32, "kv_heads": 1},
        {"block": 1, "keep": 2, "window": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("position", [NoPosition, Rotary, Alibi])
def test_it_is_the_loop(position: type[Position], options: dict[str, int], length: int) -> None:
    attention, place = lively(**options), position(DIM, HEADS, WIDTH, True)
    x = torch.randn(1, length, DIM, generator=torch.Generator().manual_seed(length), dtype=torch.float64)
    x.requires_grad_()
    tokens = Tokens.from_length(length)
    slopes = [2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8] if position is Alibi else [0.0] * HEADS
    out = attention(x, x, Mask(tokens, tokens, causal=True), place)
    expected = torch.stack([document(attention, row, place, slopes) for row in x])
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-6)  # angles are float32
    inputs = [x, *attention.parameters()]
    for ours, theirs in zip(gradients(out, inputs), gradients(expected, inputs), strict=True):
        if theirs is None:  # no block is whole yet
            assert ours is None or not ours.any()
        else:
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


def test_blocks_count_from_the_start_of_each_document() -> None:
    segment = torch.tensor([[-1, -1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, -1]])
    place = torch.tensor([[0, 0, 0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 0, 1, 2, 2]])
    blocks = Blocks.from_tokens(Tokens.from_length(8, position=place, segment=segment), 3)
    assert blocks.end.tolist() == [[4, 7], [2, 6]]
    assert blocks.index.tolist() == [[2, 2, 0, 0, 0, 1, 1, 1], [0, 0, 0, 2, 1, 1, 1, 2]]
    blocks = Blocks.from_tokens(Tokens.from_length(8, position=place, segment=segment), 4)
    assert blocks.end.tolist() == [[5, -1], [3, -1]]
    assert blocks.index.tolist() == [[2, 2, 0, 0, 0, 0, 2, 2], [0, 0, 0, 0, 2, 2, 2, 2]]


@pytest.mark.parametrize("options", [{"block": 2, "keep": 1, "window": 3}, {"block": 5}], ids=str)
@pytest.mark.parametrize("length", [1, 4, 9])
def test_its_pairs_are_those_with_weights(length: int, options: dict[str, int]) -> None:
    """Declared are the products of matrices with tokens, and of seen pairs; the counter also sees the hidden ones."""
    attention, tokens = lively(**options), Tokens.from_length(length)
    mask, x = Mask(tokens, tokens, causal=True), torch.randn(1, length, DIM, dtype=torch.float64)
    with capture() as records, FlopCounterMode(display=False) as counter:
        attention(x, x, mask, NoPosition(DIM, HEADS, WIDTH, True))
    weights = [record.weights for record in records]
    hidden = sum(4 * WIDTH * int((w == 0).sum()) for w in weights)
    again = 2 * WIDTH * weights[0].numel()  # this form makes scores of summaries once more, to choose
    assert attention.flops(mask) == counter.get_total_flops() - hidden - again


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"kv_heads": 3}, "kv_heads must divide heads: got kv_heads=3, heads=4"),
        ({"block": 0}, "block must be positive: got block=0"),
        ({"keep": 0}, "keep must be positive: got keep=0"),
        ({"window": 1}, "window must be at least 2, the current token and another one: got window=1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, int], line: str) -> None:
    with pytest.raises(Refused, match=f"^{re.escape(line)}$"):
        NativeSparseAttention(DIM, HEADS, WIDTH, NoNorm, **options)
