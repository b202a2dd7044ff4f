"""Experts that choose, soft mixtures and product keys, against loops over tokens written from the papers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from zoo.checks import Refused
from zoo.components.ffn._expert_weights import Experts
from zoo.components.ffn.expert_choice import ExpertChoice
from zoo.components.ffn.product_key import ProductKey
from zoo.components.ffn.soft_moe import SoftMoe
from zoo.model.interfaces import FeedForward
from zoo.model.mask import Mask, Tokens

DIM, HIDDEN = 6, 5
PACKED = [[0, 0, 0, 0, 0, -1, 1], [-1, -1, 3, 1, 1, 1, -1]]
Made = Callable[..., FeedForward]


def made(cls: Made, **options: Any) -> Any:
    torch.manual_seed(0)
    ffn = cls(DIM, HIDDEN, **options).double()
    with torch.no_grad():
        for parameter in ffn.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return ffn


def rows(length: int) -> Tensor:
    return torch.randn(2, length, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def expert(experts: Experts, number: int, x: Tensor) -> Tensor:
    """One expert on one token."""

    def linear(layer: Any, x: Tensor) -> Tensor:
        return layer.weight[number] @ x + (0 if layer.bias is None else layer.bias[number])

    gate = linear(experts.gate, x)
    return linear(experts.down, gate / (1 + (-gate).exp()) * linear(experts.up, x))


def expert_choice(ffn: ExpertChoice, x: Tensor) -> Tensor:
    """Section 3.2: S = softmax(x W), G and I the best k of each column of S."""
    out = [torch.zeros(DIM, dtype=x.dtype) for _ in x]
    scores = torch.stack([(ffn.router.weight @ token).softmax(dim=0) for token in x])
    count = math.ceil(len(x) * ffn.capacity / ffn.experts.count)
    for number in range(ffn.experts.count):
        for place in sorted(range(len(x)), key=lambda i: -float(scores[i, number]))[:count]:
            out[place] = out[place] + scores[place, number] * expert(ffn.experts, number, x[place])
    return torch.stack(out)


def soft_moe(ffn: SoftMoe, x: Tensor) -> Tensor:
    """Section 2.1, with the normalisation of section 2.3."""
    phi = ffn.scale * ffn.slots.weight / ffn.slots.weight.norm(dim=1, keepdim=True)
    logits = torch.stack([phi @ (token / token.norm()) for token in x])
    dispatch = logits.exp() / logits.exp().sum(dim=0, keepdim=True)
    combine = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    per_expert = phi.shape[0] // ffn.experts.count
    slots = [
        expert(
            ffn.experts, slot // per_expert, sum((dispatch[i, slot] * x[i] for i in range(len(x))), torch.zeros(DIM))
        )
        for slot in range(phi.shape[0])
    ]
    return torch.stack([sum((c * s for c, s in zip(row, slots, strict=True)), torch.zeros(DIM)) for row in combine])


def product_key(ffn: ProductKey, x: Tensor) -> Tensor:
    """Section 3.1, without the trick of section 3.2: all keys are scored. Queries have mean 0 and variance 1."""
    out = []
    for token in x:
        queries = (ffn.query.weight @ token + ffn.query.bias).view(ffn.heads, -1)
        total = torch.zeros(DIM, dtype=x.dtype)
        for head, q in enumerate(queries):
            q = (q - q.mean()) / (q.var(unbiased=False) + 1e-5).sqrt()
            first, second = ffn.keys.weight[2 * head], ffn.keys.weight[2 * head + 1]
            keys = torch.stack([torch.cat([a, b]) for a in first for b in second])
            scores = keys @ q
            chosen = sorted(range(len(keys)), key=lambda i, scores=scores: -float(scores[i]))[: ffn.top_k]
            weights = scores[chosen].exp() / scores[chosen].exp().sum()
            total = total + sum(w * ffn.values.weight[i] for w, i in zip(weights, chosen, strict=True))
        out.append(total)
    return torch.stack(out)


CASES: dict[str, tuple[Made, dict[str, Any], Callable[[Any, Tensor], Tensor]]] = {
    "expert_choice": (ExpertChoice, {}, expert_choice),
    "expert_choice_uneven": (ExpertChoice, {"experts": 3, "capacity": 0.7, "bias": True}, expert_choice),
    "expert_choice_all": (ExpertChoice, {"experts": 3, "capacity": 3.0}, expert_choice),
    "soft_moe": (SoftMoe, {}, soft_moe),
    "soft_moe_slots": (SoftMoe, {"experts": 3, "slots": 2, "bias": True}, soft_moe),
    "product_key": (ProductKey, {"keys": 5, "key_dim": 8, "top_k": 3}, product_key),
    "product_key_one_head": (ProductKey, {"keys": 3, "heads": 1, "key_dim": 6, "top_k": 3}, product_key),
}


@pytest.mark.parametrize("length", [1, 7, 33])
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_paper_s_formula(case: str, length: int) -> None:
    cls, options, formula = CASES[case]
    ffn, x = made(cls, **options), rows(length).requires_grad_()
    outs = ffn(x, Tokens.from_length(length)), torch.stack([formula(ffn, row) for row in x])
    torch.testing.assert_close(*outs, atol=1e-9, rtol=1e-9)
    weight = torch.linspace(-1, 1, outs[0].numel(), dtype=x.dtype).view_as(x)
    given = [x, *ffn.parameters()]
    grads = [torch.autograd.grad((out * weight).sum(), given, materialize_grads=True) for out in outs]
    torch.testing.assert_close(*grads, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_documents_are_by_themselves_and_padding_is_nothing(case: str) -> None:
    cls, options, formula = CASES[case]
    ffn, x, segment = made(cls, **options), rows(7).requires_grad_(), torch.tensor(PACKED)
    out = ffn(x, Tokens.from_length(7, segment=segment))
    expected = torch.zeros_like(out)
    for row, number in ((0, 0), (0, 1), (1, 1), (1, 3)):
        here = segment[row] == number
        expected[row, here] = formula(ffn, x[row, here])
    real = segment >= 0
    torch.testing.assert_close(out[real], expected[real], atol=1e-9, rtol=1e-9)
    weight = torch.linspace(-1, 1, out.numel(), dtype=x.dtype).view_as(x) * real[..., None]
    given = [x, *ffn.parameters()]
    grads = [torch.autograd.grad((o * weight).sum(), given, materialize_grads=True) for o in (out, expected)]
    torch.testing.assert_close(*grads, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_a_batch_of_padding_is_finite(case: str) -> None:
    cls, options, _ = CASES[case]
    out = made(cls, **options)(rows(3), Tokens.from_length(3, segment=torch.full((2, 3), -1)))
    assert out.shape == (2, 3, DIM)
    assert out.isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_operations_are_counted(case: str) -> None:
    cls, options, _ = CASES[case]
    ffn, tokens = made(cls, **options), Tokens.from_length(7)
    with FlopCounterMode(display=False) as counter:
        ffn(rows(7), tokens)
    assert 2 * ffn.flops(Mask(tokens, tokens)) == counter.get_total_flops()


def test_operations_of_packed_documents_are_those_of_each() -> None:
    """What the router or the slots cost by the token counts padding too."""
    segment = torch.tensor([[0, 0, 0, 0, 0, 1, 1]])
    for cls in (ExpertChoice, SoftMoe):
        ffn = made(cls)
        packed = Tokens.from_length(7, segment=segment)
        apart = [Tokens.from_length(5), Tokens.from_length(2)]
        assert ffn.flops(Mask(packed, packed)) == sum(ffn.flops(Mask(one, one)) for one in apart)


def test_a_token_s_own_parameters_are_active() -> None:
    one = 3 * DIM * HIDDEN
    assert made(ExpertChoice, experts=4, capacity=1.5).count_active_parameters() == 4 * DIM + 1.5 * one
    soft = made(SoftMoe)
    assert soft.count_active_parameters() == sum(p.numel() for p in soft.parameters())
    memory = made(ProductKey, keys=8, heads=2, key_dim=4, top_k=3)
    queries_and_keys = 2 * 4 * DIM + 2 * 4 + 2 * 8 * 4
    assert memory.count_active_parameters() == queries_and_keys + 2 * 3 * DIM
    assert sum(p.numel() for p in memory.parameters()) == queries_and_keys + 64 * DIM
    small = made(ProductKey, keys=2, heads=4, key_dim=4, top_k=2)
    assert small.count_active_parameters() == sum(p.numel() for p in small.parameters()), (
        "it cannot read more values than there are"
    )


def test_longer_slot_vectors_change_nothing_and_their_scale_does() -> None:
    """Why slot vectors are brought to length one."""
    ffn, x, tokens = made(SoftMoe), rows(7), Tokens.from_length(7)
    out = ffn(x, tokens)
    with torch.no_grad():
        ffn.slots.weight *= 3
        torch.testing.assert_close(ffn(x, tokens), out)
        ffn.scale *= 3
    assert not torch.allclose(ffn(x, tokens), out, atol=1e-3)
    assert F.cosine_similarity(x[0, 0], x[0, 1], dim=0).abs() < 1, "tokens differ in direction"


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (ExpertChoice, {"capacity": 0.0}, "capacity must be positive: got capacity=0.0"),
        (ExpertChoice, {"capacity": 4.5}, "capacity must be between 0 and 4: got capacity=4.5"),
        (ExpertChoice, {"experts": 0}, "experts must be positive: got experts=0"),
        (SoftMoe, {"slots": 0}, "slots must be positive: got slots=0"),
        (SoftMoe, {"experts": -1}, "experts must be positive: got experts=-1"),
        (ProductKey, {"key_dim": 7}, "key_dim must be even: got key_dim=7"),
        (ProductKey, {"top_k": 17}, "top_k must be between 2 and 16: got top_k=17"),
        (ProductKey, {"heads": 0}, "heads must be positive: got heads=0"),
    ],
)
def test_what_makes_no_sense_is_refused(cls: Made, options: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refusal:
        cls(DIM, HIDDEN, **options)
    assert str(refusal.value) == message
