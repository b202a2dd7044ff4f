"""Norms against transformers, x-transformers and their formulas; forward and gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from x_transformers import x_transformers

from zoo.checks import Refused
from zoo.components.norm.derf import DynamicErf
from zoo.components.norm.dyt import DynamicTanh
from zoo.components.norm.l2 import L2Norm
from zoo.components.norm.rms import RmsNorm
from zoo.components.norm.scale import ScaleNorm
from zoo.model.interfaces import Norm

DIM = 6
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def tokens(size: float = 1.0) -> Tensor:
    return (size * torch.randn(2, 7, DIM, generator=torch.Generator().manual_seed(0))).requires_grad_()


def agree(ours: Norm, theirs: Callable[[Tensor], Tensor], own: Sequence[Tensor], other: Sequence[Tensor]) -> None:
    """Outputs, and the gradients of x and of the weights, in pairs."""
    x = tokens()
    outs = ours(x), theirs(x)
    torch.testing.assert_close(*outs, **CLOSE)
    weight = torch.linspace(-1, 1, outs[0].numel()).view_as(outs[0])
    pairs = [
        torch.autograd.grad((out * weight).sum(), [x, *given]) for out, given in zip(outs, (own, other), strict=True)
    ]
    for one, two in zip(*pairs, strict=True):
        torch.testing.assert_close(one.flatten(), two.flatten(), **CLOSE)


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def copy(own: Sequence[Tensor], other: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for one, two in zip(own, other, strict=True):
            one.copy_(two.view_as(one))


@pytest.mark.parametrize("eps", [1e-6, 0.5])
@pytest.mark.parametrize(("offset", "made"), [(False, LlamaRMSNorm), (True, GemmaRMSNorm)], ids=["llama", "gemma"])
def test_rms_norm_is_that_of_llama_and_gemma(offset: bool, made: type[nn.Module], eps: float) -> None:
    ours, theirs = RmsNorm(DIM, eps=eps, unit_offset=offset), made(DIM, eps=eps)
    assert ours.weight is not None
    assert torch.equal(ours.weight, theirs.weight)
    copy([ours.weight], [randomised(theirs).weight])
    agree(ours, theirs, [ours.weight], [theirs.weight])


def test_a_small_offset_is_not_lost_in_bfloat16() -> None:
    """1 + weight rounds to 1 in bfloat16 for all of these weights."""
    ours, theirs = RmsNorm(64, unit_offset=True).bfloat16(), GemmaRMSNorm(64).bfloat16()
    torch.nn.init.uniform_(theirs.weight, 0.002, 0.0035)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(50, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(1 + theirs.weight, torch.ones_like(theirs.weight))
    assert not torch.equal(ours(x), RmsNorm(64).bfloat16()(x))


def test_scale_norm_is_that_of_x_transformers() -> None:
    """Their parameter is g / √dim."""
    ours, theirs = ScaleNorm(DIM), x_transformers.ScaleNorm(DIM)
    agree(ours, theirs, [], [])
    randomised(theirs)
    copy([ours.g], [theirs.g * DIM**0.5])
    agree(ours, theirs, [], [])
    grads = [torch.autograd.grad(out(tokens()).sum(), g)[0] for out, g in ((ours, ours.g), (theirs, theirs.g))]
    torch.testing.assert_close(grads[0] * DIM**0.5, grads[1], **CLOSE)


def test_dynamic_tanh_is_that_of_x_transformers() -> None:
    ours, theirs = DynamicTanh(DIM, alpha=0.7), x_transformers.DynamicTanh(DIM, init_alpha=0.7)
    own = [ours.alpha, ours.weight, ours.bias]
    other = [theirs.pre_tanh_scale, theirs.gamma, theirs.beta]
    agree(ours, theirs, own, other)
    randomised(theirs)
    copy(own, other)
    agree(ours, theirs, own, other)


def test_dynamic_erf_is_that_of_x_transformers() -> None:
    ours, theirs = DynamicErf(DIM, alpha=0.7), x_transformers.Derf(DIM, init_alpha=0.7)
    own = [ours.alpha, ours.shift, ours.weight, ours.bias]
    other = [theirs.alpha, theirs.s, theirs.gamma, theirs.beta]
    agree(ours, theirs, own, other)
    randomised(theirs)
    copy(own, other)
    agree(ours, theirs, own, other)


@pytest.mark.parametrize(
    ("made", "function"),
    [(DynamicTanh, lambda x: x.exp().sub((-x).exp()) / x.exp().add((-x).exp())), (DynamicErf, torch.special.erf)],
    ids=["tanh", "erf"],
)
@pytest.mark.parametrize(("weight", "bias"), [(True, False), (False, True), (False, False)])
def test_weight_and_bias_can_be_left_out(
    made: type[DynamicTanh] | type[DynamicErf], function: Callable[[Tensor], Tensor], weight: bool, bias: bool
) -> None:
    ours = made(DIM, weight=weight, bias=bias)
    randomised(ours)
    given = list(ours.parameters())

    def formula(x: Tensor) -> Tensor:
        inner = ours.alpha * x + (ours.shift if isinstance(ours, DynamicErf) else 0)
        y = function(inner) * (ours.weight if ours.weight is not None else 1)
        return y + (ours.bias if ours.bias is not None else 0)

    assert (ours.weight is not None, ours.bias is not None) == (weight, bias)
    agree(ours, formula, given, given)


@pytest.mark.parametrize("weight", [False, True])
def test_l2_norm_is_the_formula(weight: bool) -> None:
    ours = L2Norm(DIM, weight=weight)
    torch.testing.assert_close(ours(tokens()).square().sum(dim=-1), torch.ones(2, 7), **CLOSE)
    randomised(ours)
    given = list(ours.parameters())
    assert len(given) == weight
    agree(ours, lambda x: x / (x * x).sum(dim=-1, keepdim=True) ** 0.5 * (given[0] if weight else 1), given, given)


@pytest.mark.parametrize("made", [ScaleNorm, L2Norm])
def test_short_vectors_are_divided_by_eps_and_zero_stays_finite(made: type[ScaleNorm] | type[L2Norm]) -> None:
    ours, x = made(DIM, eps=2.0), tokens()
    length = x.square().sum(dim=-1, keepdim=True).sqrt()
    assert set((length < 2).flatten().tolist()) == {True, False}
    factor = ours.g if isinstance(ours, ScaleNorm) else 1.0
    torch.testing.assert_close(ours(x), torch.where(length < 2, x / 2, x / length) * factor, **CLOSE)
    zero = torch.zeros(DIM, requires_grad=True)
    out = made(DIM)(zero)
    (gradient,) = torch.autograd.grad(out.sum(), zero)
    assert torch.equal(out, torch.zeros(DIM))
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RmsNorm(DIM, weight=False, unit_offset=True), "unit_offset needs weight: got unit_offset=True, weig"),
        (lambda: RmsNorm(DIM, eps=0.0), "eps must be positive: got eps=0.0"),
        (lambda: ScaleNorm(DIM, eps=-1.0), "eps must be positive: got eps=-1.0"),
        (lambda: L2Norm(DIM, eps=0.0), "eps must be positive: got eps=0.0"),
        (lambda: DynamicTanh(DIM, alpha=0.0), "alpha must be positive: got alpha=0.0"),
        (lambda: DynamicErf(DIM, alpha=-0.5), "alpha must be positive: got alpha=-0.5"),
    ],
)
def test_what_means_nothing_is_refused(make: Callable[[], Norm], message: str) -> None:
    with pytest.raises(Refused, match=message):
        make()
