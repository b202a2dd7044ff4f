"""Scores to averages: the kernels, the plain path and a loop agree."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.components.position.alibi import Alibi
from zoo.components.position.none import NoPosition
from zoo.model.attend import Scores, attend, compute_scores
from zoo.model.capture import capture
from zoo.model.mask import Mask, Tokens

BATCH, HEADS, WIDTH = 2, 4, 6
NOWHERE, SLOPES = NoPosition(8, HEADS, WIDTH, True), Alibi(8, HEADS, WIDTH, True)


def loop(
    q: Tensor, k: Tensor, v: Tensor, mask: Mask, slopes: list[float] | None, scores: Scores, sinks: Tensor | None
) -> Tensor:
    """One query after another, by the formula."""
    visible = mask.restrict_window(scores.window).materialize().expand(len(q), -1, -1)
    group = q.shape[1] // k.shape[1]
    rows = []
    for row, head, i in itertools.product(range(q.shape[0]), range(q.shape[1]), range(q.shape[2])):
        found, values = [], []
        for j in range(k.shape[2]):
            if not visible[row, i, j]:
                continue
            score = (q[row, head, i] * k[row, head // group, j]).sum()
            score = score * (scores.scale if scores.scale is not None else q.shape[-1] ** -0.5)
            if scores.softcap is not None:
                score = scores.softcap * torch.tanh(score / scores.softcap)
            if slopes is not None:
                score = score - slopes[head] * abs(int(mask.query.position[0, i]) - int(mask.key.position[0, j]))
            found.append(score)
            values.append(v[row, head // group, j])
        weights = [score.exp() for score in found]
        total = sum(weights, q.new_zeros(())) + (sinks[head].exp() if sinks is not None else 0)
        average = sum((w / total * value for w, value in zip(weights, values, strict=True)), v.new_zeros(v.shape[-1]))
        rows.append(average)
    return torch.stack(rows).view(*q.shape[:3], v.shape[-1])


def tensors(kv_heads: int, query: int, key: int, sinks: bool, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(query * 10 + key)
    shapes = [(BATCH, HEADS, query, WIDTH), (BATCH, kv_heads, key, WIDTH), (BATCH, kv_heads, key, WIDTH + 1)]
    shapes += [(HEADS,)] if sinks else []
    made = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]
    return [tensor.requires_grad_() for tensor in made]


def row(kind: str, length: int) -> Tokens:
    segments = {
        "whole": None,
        "padded": torch.where(torch.arange(length) < torch.tensor([[length - 2], [length]]), 0, -1),
        "packed": (torch.arange(length)[None].repeat(BATCH, 1) >= 3).long(),
        "empty": torch.where(torch.tensor([[False], [True]]), 0, -1).repeat(1, length),
    }
    return Tokens.from_length(length, segment=segments[kind])


def gradients(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return list(torch.autograd.grad((out * weight).sum(), inputs))


CASES = list(
    itertools.product(
        ["whole", "padded", "packed", "empty"],
        [True, False],
        [None, 3],
        [None, 2],
        [False, True],
        [False, True],
        [4, 2],
    )
)


@pytest.mark.parametrize(("kind", "causal", "window", "prefix", "bias", "sinks", "kv_heads"), CASES)
def test_fast_is_plain(
    kind: str, causal: bool, window: int | None, prefix: int | None, bias: bool, sinks: bool, kv_heads: int
) -> None:
    """``capture`` takes the plain path; forward and backward are the same, rows that see nothing included."""
    tokens = row(kind, 7)
    mask = Mask(tokens, tokens, causal, None, None if prefix is None else torch.tensor([prefix, 5]))
    inputs = tensors(kv_heads, 7, 7, sinks)
    position, scores = SLOPES if bias else NOWHERE, Scores(window=window, sinks=sinks)
    fast = attend(*inputs[:3], mask, position, scores, *inputs[3:])
    with capture() as records:
        plain = attend(*inputs[:3], mask, position, scores, *inputs[3:])
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(gradients(fast, inputs), gradients(plain, inputs), strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert len(records) == 1
    total, seeing = (
        records[0].weights.sum(dim=-1),
        mask.restrict_window(window).materialize().any(dim=-1)[:, None].expand(BATCH, HEADS, 7),
    )
    assert not total[~seeing].any()
    if sinks:
        assert (total < 1).all()
    else:
        torch.testing.assert_close(total[seeing], torch.ones_like(total[seeing]))


@pytest.mark.parametrize("kind", ["whole", "padded", "empty"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "scores",
    [
        Scores(),
        Scores(softcap=0.7),
        Scores(scale=0.3),
        Scores(window=2),
        Scores(sinks=True),
        Scores(None, 1.0, 2.0, 0.0, True),
    ],
)
def test_attend_is_the_formula(kind: str, bias: bool, scores: Scores) -> None:
    tokens = row(kind, 5)
    mask = Mask(tokens, tokens, causal=True)
    inputs = tensors(2, 5, 5, scores.sinks, torch.float64)
    out = attend(*inputs[:3], mask, SLOPES if bias else NOWHERE, scores, *inputs[3:])
    slopes = [2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8] if bias else None
    expected = loop(inputs[0], inputs[1], inputs[2], mask, slopes, scores, inputs[3] if scores.sinks else None)
    torch.testing.assert_close(out, expected, atol=1e-9, rtol=1e-9)
    for ours, theirs in zip(gradients(out, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", ["padded", "empty"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("narrowed", [False, True])
def test_no_kernel_meets_a_query_that_sees_nothing(
    kind: str, bias: bool, narrowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an H100 cuDNN's gives it something, and gradients that are no numbers."""
    kernel, met = torch.nn.functional.scaled_dot_product_attention, []

    def seen_by(*given: Tensor, attn_mask: Tensor, **more: Any) -> Tensor:
        met.append(attn_mask if attn_mask.dtype == torch.bool else attn_mask > -math.inf)
        return kernel(*given, attn_mask=attn_mask, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", seen_by)
    tokens = row(kind, 5)
    allowed = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    allowed[:, :, 3] = False
    mask, inputs = Mask(tokens, tokens, causal=True), tensors(4, 5, 5, False)
    attend(*inputs, mask, SLOPES if bias else NOWHERE, Scores(), allowed=allowed if narrowed else None)
    (seen,) = met
    assert seen.any(dim=-1).all()


@pytest.mark.parametrize("query", [1, 3])
@pytest.mark.parametrize("window", [None, 2, 5])
def test_rows_of_different_lengths_meet(query: int, window: int | None) -> None:
    """Cross-attention: a window counts from where tokens arrived, also where it is wider than the source."""
    mask = Mask(Tokens.from_length(query, start=6), Tokens.from_length(4))
    inputs, scores = tensors(4, query, 4, False, torch.float64), Scores(window=window)
    out = attend(*inputs[:3], mask, NOWHERE, scores)
    torch.testing.assert_close(out, loop(*inputs[:3], mask, None, scores, None), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", ["whole", "padded", "empty"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scores", [Scores(), Scores(softcap=0.7), Scores(window=3, sinks=True)])
@pytest.mark.parametrize("rows", [1, BATCH])
@pytest.mark.parametrize("heads", [1, HEADS])
def test_allowed_hides_further(heads: int, rows: int, scores: Scores, bias: bool, causal: bool, kind: str) -> None:
    """Both paths, forward and gradient; a query that is allowed nothing gets zero."""
    tokens = row(kind, 5)
    mask = Mask(tokens, tokens, causal)
    inputs = tensors(2, 5, 5, scores.sinks, torch.float64)
    allowed = torch.rand(rows, heads, 5, 5, generator=torch.Generator().manual_seed(0)) < 0.6
    allowed[:, :, 3] = False
    position = SLOPES if bias else NOWHERE
    out = attend(*inputs[:3], mask, position, scores, *inputs[3:], allowed=allowed)
    with capture():
        plain = attend(*inputs[:3], mask, position, scores, *inputs[3:], allowed=allowed)
    slopes = [2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8]
    sinks = inputs[3] if scores.sinks else None
    expected = torch.stack(
        [_head(inputs, mask, allowed, r, h, slopes if bias else None, scores, sinks) for r, h in _all()]
    )
    expected = expected.view(BATCH, HEADS, 5, -1)
    expected_gradients = gradients(expected, inputs)
    for found in (out, plain):
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
        for ours, theirs in zip(gradients(found, inputs), expected_gradients, strict=True):
            assert ours.isfinite().all()
            torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
    assert not out[:, :, 3].any()


def _all() -> list[tuple[int, int]]:
    return list(itertools.product(range(BATCH), range(HEADS)))


def _head(
    inputs: list[Tensor],
    mask: Mask,
    allowed: Tensor,
    r: int,
    h: int,
    slopes: list[float] | None,
    scores: Scores,
    sinks: Tensor | None,
) -> Tensor:
    """Row ``r``, head ``h``, each query by the formula."""
    q, k, v = inputs[0][r, h], inputs[1][r, h // 2], inputs[2][r, h // 2]
    seen = (
        mask.restrict_window(scores.window).materialize().expand(BATCH, -1, -1)[r]
        & allowed[r % len(allowed), h % allowed.shape[1]]
    )
    out = []
    for i in range(5):
        logits = k @ q[i] / math.sqrt(WIDTH)
        if scores.softcap is not None:
            logits = scores.softcap * torch.tanh(logits / scores.softcap)
        if slopes is not None:
            logits = logits - slopes[h] * (torch.arange(5) - i).abs()
        weights = torch.where(seen[i], logits.exp(), 0.0)
        total = weights.sum() + (0 if sinks is None else sinks[h].exp())
        out.append(weights @ v / total if seen[i].any() else v.new_zeros(v.shape[-1]))
    return torch.stack(out)


@pytest.mark.parametrize("scores", [Scores(), Scores(softcap=0.7, scale=0.3), Scores(window=3)])
@pytest.mark.parametrize("bias", [False, True])
def test_formed_scores_are_those_of_the_weights(scores: Scores, bias: bool) -> None:
    tokens = row("padded", 7)
    mask = Mask(tokens, tokens, causal=True)
    q, k, v = tensors(2, 7, 7, False, torch.float64)
    position = SLOPES if bias else NOWHERE
    with capture() as records:
        attend(q, k, v, mask, position, scores)
    formed = compute_scores(q, k, mask, position, scores)
    seen = mask.restrict_window(scores.window).materialize()[:, None].expand_as(formed)
    assert torch.equal(formed == -math.inf, ~seen)
    torch.testing.assert_close(formed.softmax(dim=-1).nan_to_num(), records[0].weights)


class Asked(NoPosition):
    """A bias made of the queries that it is asked with."""

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        return q[..., :1] * key_positions[:, None, None]


def test_a_position_can_be_asked_with_other_queries() -> None:
    tokens = row("whole", 5)
    mask, asked = Mask(tokens, tokens), Asked(8, HEADS, WIDTH, True)
    q, k, v = (tensor.detach() for tensor in tensors(4, 5, 5, False, torch.float64))
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, dtype=torch.float64)).Q
    expected = attend(q, k, v, mask, asked, Scores())
    torch.testing.assert_close(attend(q @ turn, k @ turn, v, mask, asked, Scores(), asking=q), expected)
    assert not torch.allclose(attend(q @ turn, k @ turn, v, mask, asked, Scores()), expected)


def test_no_keys_give_zero() -> None:
    mask = Mask(Tokens.from_length(3), Tokens.from_length(0))
    inputs = tensors(4, 3, 0, False)
    assert not attend(*inputs[:3], mask, NOWHERE, Scores()).any()


def test_bfloat16_agrees_coarsely() -> None:
    tokens = row("padded", 7)
    mask = Mask(tokens, tokens, causal=True)
    inputs = tensors(2, 7, 7, True)
    half = [tensor.bfloat16() for tensor in inputs]
    scores = Scores(sinks=True)
    out = attend(*half[:3], mask, SLOPES, scores, half[3])
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), attend(*inputs[:3], mask, SLOPES, scores, inputs[3]), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("softcap", [None, 5.0])
def test_dropout_acts_in_training_only_and_keeps_the_mean(softcap: float | None) -> None:
    tokens = row("whole", 7)
    mask, scores = Mask(tokens, tokens), Scores(dropout=0.5, softcap=softcap)
    q, k, _ = (tensor.detach() for tensor in tensors(4, 7, 7, False))
    ones = torch.ones(BATCH, 4, 7, 500)
    assert torch.allclose(attend(q, k, ones, mask, NOWHERE, scores), ones, atol=1e-5)
    torch.manual_seed(0)
    drawn = torch.stack([attend(q, k, ones, mask, NOWHERE, scores, training=True)[..., 0] for _ in range(2000)])
    assert drawn.std() > 0.1
    assert torch.allclose(drawn.mean(dim=0), torch.ones(()), atol=6 * 1.0 / math.sqrt(2000))


def test_captures_do_not_mix() -> None:
    tokens = row("whole", 3)
    inputs, mask = tensors(4, 3, 3, False), Mask(tokens, tokens)
    with capture() as outer:
        attend(*inputs, mask, NOWHERE, Scores())
        with capture() as inner:
            attend(*inputs, mask, NOWHERE, Scores())
            attend(*inputs, mask, NOWHERE, Scores())
        attend(*inputs, mask, NOWHERE, Scores())
    attend(*inputs, mask, NOWHERE, Scores())
    assert (len(outer), len(inner)) == (2, 2)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"window": 0}, "scores.window must be positive: got scores.window=0"),
        ({"softcap": -1.0}, "scores.softcap must be positive: got scores.softcap=-1.0"),
        ({"dropout": 1.5}, "scores.dropout must be between 0.0 and 0.99: got scores.dropout=1.5"),
    ],
)
def test_bad_scores_are_refused(options: dict[str, float], line: str) -> None:
    with pytest.raises(Refused, match=line.replace(".", r"\.")):
        Scores(**options)  # type: ignore[arg-type]
