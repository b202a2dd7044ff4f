"""Sinusoidal positions."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from zoo.checks import require_even, require_positive
from zoo.model.interfaces import Position
from zoo.registry import register


@final
@register("position", "sinusoidal", paper="arXiv:1706.03762")
class Sinusoidal(Position):
    """x + [sin(p / base^(2i/dim)), cos(p / base^(2i/dim))], sines and cosines interleaved.

    Args:
        dim: features per token; even.
        heads: not used.
        head_dim: not used.
        causal: not used.
        base: the longest wavelength is 2π * base.
    Raises:
        Refused: if ``dim`` is odd.
    Source: Vaswani et al. 2017.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool, *, base: float = 10000.0) -> None:
        super().__init__()
        require_even("dim", dim)
        require_positive("base", base)
        self.dim, self.base = dim, base

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Add the waves to ``[batch, length, dim]``."""
        exponents = torch.arange(0, self.dim, 2, device=x.device, dtype=torch.float32) / self.dim
        angles = positions[..., None].float() * self.base**-exponents
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
        return x + waves.to(x.dtype)
