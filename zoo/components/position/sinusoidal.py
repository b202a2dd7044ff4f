"""Sinusoidal position embeddings."""

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
    """Absolute position embedding: adds sin(p / base^(2i / dim)) to feature 2i and the cosine to feature 2i + 1.

    Args:
        dim: features per token; even.
        heads: unused.
        head_dim: unused.
        causal: unused.
        base: bounds the wavelengths, which grow from 2π towards 2π * base.
    Raises:
        Refused: if ``dim`` is odd, or ``base`` is not positive.
    Source: Vaswani et al. 2017.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool, *, base: float = 10000.0) -> None:
        super().__init__()
        require_even("dim", dim)
        require_positive("base", base)
        self.dim, self.base = dim, base

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Adds sines and cosines of ``positions`` to ``x`` ``[batch, length, dim]``."""
        exponents = torch.arange(0, self.dim, 2, device=x.device, dtype=torch.float32) / self.dim
        angles = positions[..., None].float() * self.base**-exponents  # [batch or 1, length, dim / 2]
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
        return x + waves.to(x.dtype)
