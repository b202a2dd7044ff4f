"""Feature pairs that turn with position: what rotary and xpos have in common; not a component itself."""

from __future__ import annotations

import torch
from torch import Tensor


def frequencies(width: int, base: float, x: Tensor) -> Tensor:
    """base^(-2i/width) for each of ``width / 2`` pairs, on the device of ``x`` and at least in float32."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    exponents = torch.arange(0, width, 2, device=x.device, dtype=dtype) / width
    return base**-exponents


def turn(x: Tensor, angles: Tensor, size: Tensor | float, *, interleaved: bool) -> Tensor:
    """Turn the first pairs of features, as many as there are angles, and multiply them with ``size``; the rest stays.

    Args:
        x: ``[batch, heads, length, width]``.
        angles: ``[batch or 1, 1, length, pairs]``; the turning is done in their precision.
        size: a number, or one for each angle.
        interleaved: pairs are neighbors (2i, 2i + 1); else feature i goes with i + pairs.
    """
    width = 2 * angles.shape[-1]
    turned, rest = x[..., :width].to(angles.dtype), x[..., width:]
    cos, sin = angles.cos() * size, angles.sin() * size
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
    else:
        a, b = turned.chunk(2, dim=-1)
        turned = torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
    turned = turned.to(x.dtype)
    return torch.cat([turned, rest], dim=-1) if rest.shape[-1] else turned
