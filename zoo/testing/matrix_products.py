"""Counts the products that a computation needs, to check the operations that components declare."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

PRODUCTS = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.mm, Tensor.mm, F.linear)
"""Functions that are linear in each of their first two arguments."""
RECTIFIERS = (F.relu, torch.relu, Tensor.relu, F.gelu, F.silu)
CLAMPS = (torch.clamp, Tensor.clamp, Tensor.clip)
EXPONENTIALS = (torch.exp, Tensor.exp)
SOFTMAXES = (torch.softmax, Tensor.softmax, F.softmax)
CHOICES = (torch.topk, Tensor.topk, torch.sort, Tensor.sort, torch.kthvalue, Tensor.kthvalue)
NETWORKS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
LEAST = -10.0  # lower bound of exponents, so that small decay factors still count as needed


class NeededProducts(TorchFunctionMode):
    """Counts multiplications with nonzero factors whose product contributes to the result.

    A matrix product C = A B has the terms a_ik b_kj. A term counts if a_ik, b_kj and the derivative of the result by
    c_ij are nonzero. So masked pairs, padding and states before the first token do not count, however they are done.
    The backward pass must run inside the block, too.

    Inside the block, ReLU-like activations are the identity, and clamps and softmax have nonzero derivatives, since a
    value that happens to be zero is needed, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.products = 0
        self.chooses = False
        """Whether values were selected by size (top-k); scores that only select have no derivative and do not count."""

    @property
    def flops(self) -> int:
        """Needed operations; a multiply-add is two."""
        return 2 * self.products

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in RECTIFIERS:
            return args[0]
        if function in EXPONENTIALS:
            return torch.where(args[0].isneginf(), 0.0, _with_gradient(args[0], args[0].clamp(min=LEAST)).exp())
        if function in SOFTMAXES:  # its derivative vanishes for tiny weights and for a single key
            hidden = args[0] <= torch.finfo(args[0].dtype).min
            weights = function(*args, **kwargs).detach().clamp(min=math.exp(LEAST))
            return torch.where(hidden, 0.0, _with_gradient(args[0], weights))
        out = function(*args, **kwargs)
        if function in CLAMPS and args[0].is_floating_point():
            return _with_gradient(args[0], out)
        if function in CHOICES:
            self.chooses |= args[0].is_floating_point()
        elif function in PRODUCTS:
            self._watch(out, function(*(_is_needed(factor) for factor in args[:2])))
        elif function is torch.linalg.solve_triangular:
            self._watch(out, _is_needed(args[0]).tril(-1) @ _is_needed(out))
        elif getattr(function, "__name__", "") in NETWORKS:
            matrices = [part for part in args if isinstance(part, list | tuple) and len(part) > 1]
            sizes = sum(matrix.numel() for part in matrices for matrix in part if matrix.ndim == 2)
            self.products += sizes * args[0].shape[:-1].numel()
        return out

    def _watch(self, out: Tensor, products: Tensor) -> None:
        """Adds ``products`` of the elements of ``out`` with nonzero gradient, in the backward pass."""

        def count(gradient: Tensor) -> None:
            self.products += int(products[gradient != 0].sum())

        if out.requires_grad:
            out.register_hook(count)  # type: ignore[no-untyped-call]


def _with_gradient(x: Tensor, out: Tensor) -> Tensor:
    """Returns the values of ``out`` with the gradient of ``x`` (straight-through)."""
    return x + (out - x).detach()


def _is_needed(factor: Tensor) -> Tensor:
    return (factor.detach() != 0).to(torch.float64)
