"""Exercise 6: rotary position embedding."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from zoo import Position, register, require, require_even


@final
@register("position", "exercise_rotary", paper="arXiv:2104.09864")
class RotaryPairs(Position):
    """Rotates the features (2i, 2i + 1) of queries and keys at position p by the angle p / base^(2i / width).

    Args:
        dim: unused.
        heads: unused.
        head_dim: features per head; even.
        causal: unused.
        base: bounds the wavelengths, which grow from 2π towards 2π * base.
    Raises:
        Refused: if ``head_dim`` is odd, or ``base`` is at most 1.
    Source: Su et al. 2021.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool, *, base: float = 10000.0) -> None:
        super().__init__()
        require_even("head_dim", head_dim)
        require(base > 1, f"base must be above 1: got base={base}")
        self.base = base

    def rotate_queries(self, q: Tensor, positions: Tensor) -> Tensor:
        """Rotates queries ``[batch, heads, length, width]``; positions are ``[batch or 1, length]``."""
        return self.rotate(q, positions)

    def rotate_keys(self, k: Tensor, positions: Tensor) -> Tensor:
        """Rotates keys ``[batch, heads, length, width]``; positions are ``[batch or 1, length]``."""
        return self.rotate(k, positions)

    def rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        """Rotates each pair (a, b) of neighbors by its angle t to (a cos t - b sin t, a sin t + b cos t)."""
        width = x.shape[-1]
        exponents = torch.arange(0, width, 2, device=x.device, dtype=torch.float32) / width
        angles = positions[:, None, :, None] * self.base**-exponents  # [batch or 1, 1, length, width / 2]
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        a, b = x[..., 0::2], x[..., 1::2]  # [batch, heads, length, width / 2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
