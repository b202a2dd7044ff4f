"""Elementwise operations for which torch makes many passes over a tensor on a CPU, in few passes.

Outside of a CPU, and in a compiled graph, kernels are fused anyway, so the plain formula is computed there.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def rotate_halves(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates each pair (i, i + width / 2) of features: (a, b) becomes (a cos - b sin, a sin + b cos).

    Args:
        x: ``[…, width]``.
        cos: cosines of the angles, twice in a row, ``[…, width]``, broadcast to ``x``.
        sin: sines, likewise.
    Returns:
        a tensor of the shape and the strides of ``x``, in the dtype of ``cos``.
    """
    if _has_fused_kernels(x):
        return x * cos + torch.cat([-x[..., x.shape[-1] // 2 :], x[..., : x.shape[-1] // 2]], dim=-1) * sin
    x = x.to(cos.dtype)
    return _apply(_RotateHalves, x, cos, sin) if torch.is_grad_enabled() else _rotate_halves(x, cos, sin)


class _RotateHalves(torch.autograd.Function):
    """Rotation of halves, whose gradient is the rotation by the opposite angles."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotate_halves(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _apply(_RotateHalves, gradients[0], cos, -sin), None, None


def _rotate_halves(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half, rotated = x.shape[-1] // 2, x * cos
    rotated[..., :half].addcmul_(x[..., half:], sin[..., half:], value=-1)
    rotated[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return rotated


def normalize_rms(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """Divides features by their root mean square: x / √(mean(x²) + eps) * weight.

    Args:
        x: ``[…, width]``.
        weight: ``[width]``, or None for no weight.
        eps: value added to the mean square.
    Returns:
        a tensor of the shape of ``x``.
    """
    if weight is None or x.dtype != weight.dtype or x.dtype.itemsize < 4 or _has_fused_kernels(x):
        return F.rms_norm(x, x.shape[-1:], weight, eps)
    return _apply(_NormalizeRms, x, weight, eps) if torch.is_grad_enabled() else _normalize_rms(x, weight, eps)[0]


class _NormalizeRms(torch.autograd.Function):
    """RMS norm with a weight.

    With n = x / r, r = √(mean(x²) + eps) and g the gradient times the weight, the gradient of x is
    (g - n mean(g n)) / r.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        normalized, inverse = _normalize_rms(x, weight, eps)
        ctx.save_for_backward(x, weight, inverse)
        ctx.eps = eps
        return normalized

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        (gradient,) = gradients
        if torch.is_grad_enabled():  # for a gradient of this gradient, which depends on x through the inverse, too
            inverse = torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + ctx.eps)
        normalized, scaled = x * inverse, gradient * weight
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = (gradient * normalized).reshape(-1, x.shape[-1]).sum(dim=0)
        mean = (scaled * normalized).mean(dim=-1, keepdim=True)
        return torch.addcmul(scaled, normalized, mean, value=-1) * inverse, of_weight, None


def _normalize_rms(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Returns the normalized features and the inverse of their root mean square, ``[…, 1]``."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    inverse = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return (x * inverse).mul_(weight), inverse


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    output: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return output


def _has_fused_kernels(x: Tensor) -> bool:
    """True if kernels of the device, or of a compiled graph, are fused; the meta device stands for a CPU."""
    return x.device.type not in ("cpu", "meta") or torch.compiler.is_compiling()
