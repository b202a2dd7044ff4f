"""Operations in few passes, against the formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.model.fused import normalize_rms, rotate_halves


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype).requires_grad_()


def test_rotation_of_halves_is_a_product_of_complex_numbers() -> None:
    x, angles = draw(2, 3, 5, 8), torch.linspace(-3, 3, 20, dtype=torch.float64).view(5, 4)
    cos, sin = (torch.cat([part, part], dim=-1) for part in (angles.cos(), angles.sin()))
    rotated = rotate_halves(x, cos, sin)
    numbers = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(rotated, torch.cat([numbers.real, numbers.imag], dim=-1))
    assert torch.autograd.gradcheck(lambda x: rotate_halves(x, cos, sin), x)
    assert torch.autograd.gradgradcheck(lambda x: rotate_halves(x, cos, sin), x)


def test_rotation_keeps_the_layout_of_split_heads() -> None:
    """Heads of a token stay side by side in memory, so that documents can be cut out without a copy."""
    x, table = draw(2, 5, 3, 8).transpose(1, 2), torch.ones(5, 8, dtype=torch.float64)
    assert rotate_halves(x, table, table).stride() == x.stride()


@pytest.mark.parametrize("shape", [(8,), (3, 8), (2, 3, 8)])
def test_rms_norm_is_that_of_torch(shape: tuple[int, ...]) -> None:
    x, weight, gradient = draw(*shape), draw(8), draw(*shape).detach() + 1
    ours, theirs = normalize_rms(x, weight, 1e-3), F.rms_norm(x, (8,), weight, 1e-3)
    torch.testing.assert_close(ours, theirs)
    for found, expected in zip(
        torch.autograd.grad(ours, (x, weight), gradient),
        torch.autograd.grad(theirs, (x, weight), gradient),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)
    assert torch.autograd.gradgradcheck(lambda x, weight: normalize_rms(x, weight, 1e-3), (x, weight))


def test_rms_norm_of_a_frozen_weight_has_a_gradient_of_its_input_only() -> None:
    x, weight = draw(3, 8), draw(8).detach()
    normalize_rms(x, weight, 1e-3).sum().backward()
    assert x.grad is not None
    assert weight.grad is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_rms_norm_of_large_and_of_zero_features_is_finite(dtype: torch.dtype) -> None:
    x = torch.tensor([[3e4] * 8, [0.0] * 8], dtype=dtype)
    torch.testing.assert_close(
        normalize_rms(x, torch.ones(8, dtype=dtype), 1e-6), torch.tensor([[1.0] * 8, [0.0] * 8], dtype=dtype)
    )


def test_autocast_changes_neither() -> None:
    """Sums of squares in bfloat16 would have 8 bits."""
    x, weight = draw(4, 256, dtype=torch.float32), torch.ones(256, requires_grad=True)
    expected = torch.autograd.grad(normalize_rms(x, weight, 1e-6).square().sum(), (x, weight))
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(normalize_rms(x, weight, 1e-6).square().sum(), (x, weight))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
