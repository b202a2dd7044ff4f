"""Rotation of feature pairs by angles that grow with the position, shared by ``rotary`` and ``xpos``."""

from __future__ import annotations

import torch
from torch import Tensor


def compute_frequencies(width: int, base: float, x: Tensor) -> Tensor:
    """Returns base^(-2i / width) for each pair i, ``[width / 2]``, on the device of ``x`` and in float32 or wider."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    exponents = torch.arange(0, width, 2, device=x.device, dtype=dtype) / width
    return base**-exponents


def rotate_pairs(x: Tensor, angles: Tensor, scale: Tensor | float, *, interleaved: bool) -> Tensor:
    """Rotates the first ``pairs`` feature pairs by ``angles`` and multiplies them by ``scale``.

    The remaining features are returned unchanged. The rotation is computed in the dtype of ``angles``.

    Args:
        x: queries or keys ``[batch, heads, length, width]``.
        angles: angles in radians ``[batch or 1, 1, length, pairs]``, with ``2 * pairs <= width``.
        scale: one factor for all pairs, or one for each angle.
        interleaved: if True, a pair is the neighbors (2i, 2i + 1); otherwise it is (i, i + pairs).
    Returns:
        ``[batch, heads, length, width]`` in the dtype of ``x``.
    """
    width = 2 * angles.shape[-1]
    rotated, rest = x[..., :width].to(angles.dtype), x[..., width:]
    cos, sin = angles.cos() * scale, angles.sin() * scale
    if interleaved:
        a, b = rotated[..., 0::2], rotated[..., 1::2]  # each [batch, heads, length, pairs]
        rotated = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
    else:
        a, b = rotated.chunk(2, dim=-1)
        rotated = torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
    rotated = rotated.to(x.dtype)
    return torch.cat([rotated, rest], dim=-1) if rest.shape[-1] else rotated
