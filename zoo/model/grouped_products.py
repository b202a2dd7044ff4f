"""Matrix products of consecutive groups of rows, each with a matrix of its own, for mixtures of experts.

Both products are operators of torch, since the sizes of the groups are known only at run time: ``torch.compile`` keeps
each as one node of its graph. The derivatives of each are products of these two kinds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula


def multiply_groups(x: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    """Computes x[i] W[n] for each row i of group n, under autocast in its type.

    Args:
        x: rows in the order of their groups ``[rows, inputs]``.
        matrices: W of each group ``[groups, inputs, outputs]``.
        ends: index after the last row of each group, int32 ``[groups]``; the last one is ``rows``.
    Returns:
        ``[rows, outputs]``.
    """
    device = x.device.type
    if device != "meta" and torch.is_autocast_enabled(device) and x.dtype is not torch.float64:
        dtype = torch.get_autocast_dtype(device)
        x, matrices = x.to(dtype), matrices.to(dtype)
    product: Tensor = _multiply_groups(x, matrices, ends)
    return product


@torch.library.custom_op("zoo::multiply_groups", mutates_args=())
def _multiply_groups(x: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    if _has_kernel(x, matrices):
        return F.grouped_mm(x, matrices, offs=ends).contiguous()  # CUDA may pad the rows of the result
    out = x.new_empty(len(x), matrices.shape[2])
    for n, rows in _list_groups(ends):
        torch.mm(x[rows], matrices[n], out=out[rows])
    return out


@torch.library.custom_op("zoo::multiply_transposed_groups", mutates_args=())
def _multiply_transposed_groups(x: Tensor, y: Tensor, ends: Tensor) -> Tensor:
    """Computes xᵀ y of the rows of each group: ``[rows, inputs], [rows, outputs] -> [groups, inputs, outputs]``."""
    if _has_kernel(x, y):
        return F.grouped_mm(x.T, y, offs=ends).contiguous()
    out = x.new_zeros(len(ends), x.shape[1], y.shape[1])
    for n, rows in _list_groups(ends):
        torch.mm(x[rows].T, y[rows], out=out[n])
    return out


def _has_kernel(*operands: Tensor) -> bool:
    """True if ``torch.nn.functional.grouped_mm`` (torch 2.10) supports the operands.

    Its CPU kernel takes more types than that of CUDA; both need rows that begin at multiples of 16 bytes.
    """
    if not hasattr(F, "grouped_mm"):
        return False
    device, dtype = operands[0].device, operands[0].dtype
    if device.type == "cuda":
        supported = dtype is torch.bfloat16 and torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        supported = device.type == "cpu" and dtype in (torch.float32, torch.bfloat16, torch.float16)
    return supported and all(len(x) > 0 and _is_aligned(x) for x in operands)


def _is_aligned(x: Tensor) -> bool:
    """True if one of the last two dimensions is contiguous, and the stride of the other is a multiple of 16 bytes."""
    rows, columns = x.stride()[-2:]
    aligned = max(rows, columns) * x.element_size() % 16 == 0 and x.data_ptr() % 16 == 0
    return min(rows, columns) == 1 and aligned and min(x.shape) > 1


def _list_groups(ends: Tensor) -> Iterator[tuple[int, slice]]:
    """Yields number and rows of each group that has rows."""
    bounds = [0, *ends.tolist()]
    for n, (start, end) in enumerate(pairwise(bounds)):
        if end > start:
            yield n, slice(start, end)


@_multiply_groups.register_fake
def _(x: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], matrices.shape[2])


@_multiply_transposed_groups.register_fake
def _(x: Tensor, y: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(ends.shape[0], x.shape[1], y.shape[1])


def _save_inputs(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _derive_multiply(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    x, matrices, ends = ctx.saved_tensors
    gradient = gradient.contiguous()
    of_x = _multiply_groups(gradient, matrices.mT, ends) if ctx.needs_input_grad[0] else None
    # As W is the transpose of a weight [outputs, inputs], so is its gradient: it then lies in memory as the weight.
    of_w = _multiply_transposed_groups(gradient, x, ends).mT if ctx.needs_input_grad[1] else None
    return of_x, of_w, None


def _derive_multiply_transposed(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    x, y, ends = ctx.saved_tensors
    return _multiply_groups(y, gradient.mT, ends), _multiply_groups(x, gradient, ends), None


_multiply_groups.register_autograd(_derive_multiply, setup_context=_save_inputs)
_multiply_transposed_groups.register_autograd(_derive_multiply_transposed, setup_context=_save_inputs)


@register_flop_formula([torch.ops.zoo.multiply_groups, torch.ops.zoo.multiply_transposed_groups])
def _count_flops(x: tuple[int, ...], y: tuple[int, ...], *given: Any, **more: Any) -> int:
    """Counts a multiply-add as two operations: each row has one product, of ``inputs`` by ``outputs``."""
    return 2 * math.prod(x) * y[-1]
