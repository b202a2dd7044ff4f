"""Products of groups of rows, against a plain loop over the groups."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from zoo.model.grouped_products import multiply_groups
from zoo.model.projections import BatchedLinear

ENDS = {"empty first": [0, 3, 3, 20], "one group": [0, 0, 20, 20], "even": [5, 10, 15, 20]}
SIZES = {"aligned": (16, 24), "unaligned": (5, 7)}  # rows of 16 bytes, which grouped_mm needs, and others


def draw(dtype: torch.dtype, inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
    """Rows and weights ``[groups, outputs, inputs]``."""
    generator = torch.Generator().manual_seed(0)
    shapes = (20, inputs), (4, outputs, inputs)
    x, weight = (torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes)
    return x, weight


def multiply_in_a_loop(x: Tensor, matrices: Tensor, ends: list[int]) -> Tensor:
    return torch.cat(
        [x[start:end] @ matrix for (start, end), matrix in zip(pairwise([0, *ends]), matrices, strict=True)]
    )


def differentiate(out: Tensor, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return torch.autograd.grad((out * weight).sum(), given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", ENDS)
def test_products_and_gradients_are_those_of_a_loop(case: str, size: str, dtype: torch.dtype) -> None:
    given, ends = draw(dtype, *SIZES[size]), ENDS[case]
    x, weight = given
    out = multiply_groups(x, weight.mT, torch.tensor(ends, dtype=torch.int32))
    expected = multiply_in_a_loop(x, weight.mT, ends)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(differentiate(out, given), differentiate(expected, given))
    assert not torch.allclose(out, multiply_in_a_loop(x, weight.mT.flip(0), ends)), "a control: the wrong matrices"


def test_the_gradient_lies_in_memory_as_the_weight() -> None:
    """Else accumulation copies it, which is most of the cost of many experts; ``bmm`` by itself does not."""
    for layer, x in (
        (BatchedLinear(4, 16, 24), torch.randn(4, 5, 16)),
        (BatchedLinear(4, 16, 24), torch.randn(20, 16)),
    ):
        ends = torch.tensor(ENDS["even"], dtype=torch.int32)
        out = layer(x) if x.ndim == 3 else layer.apply_groups(x, torch.arange(4).repeat_interleave(5), ends)
        (gradient,) = torch.autograd.grad(out.sum(), [layer.weight])
        assert gradient.stride() == layer.weight.stride()
    weight = torch.randn(4, 24, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(torch.bmm(torch.randn(4, 5, 16), weight.mT).sum(), [weight])
    assert gradient.stride() != weight.stride()


def test_gradients_can_be_derived_again() -> None:
    x, weight = draw(torch.float64, 3, 2)
    ends = torch.tensor(ENDS["empty first"], dtype=torch.int32)
    assert torch.autograd.gradgradcheck(lambda x, weight: multiply_groups(x, weight.mT, ends).tanh(), (x, weight))


def test_autocast_multiplies_in_its_type_but_not_float64() -> None:
    ends = torch.tensor(ENDS["even"], dtype=torch.int32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for dtype, expected in ((torch.float32, torch.bfloat16), (torch.float64, torch.float64)):
            x, weight = draw(dtype, 16, 24)
            out = multiply_groups(x, weight.mT, ends)
            assert out.dtype is expected
            assert differentiate(out, (x, weight))[1].dtype is dtype


def test_a_compiled_product_is_one_graph() -> None:
    """With other groups in the second call, which the graph does not see."""
    torch._dynamo.reset()
    compiled = torch.compile(multiply_groups, backend="aot_eager", fullgraph=True)
    x, weight = draw(torch.float32, 16, 24)
    for ends in ENDS.values():
        expected = multiply_in_a_loop(x, weight.mT, ends)
        out = compiled(x, weight.mT, torch.tensor(ends, dtype=torch.int32))
        torch.testing.assert_close(out, expected)
        torch.testing.assert_close(differentiate(out, (x, weight)), differentiate(expected, (x, weight)))
