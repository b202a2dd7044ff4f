"""Rotary position embeddings with exponential decay."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from zoo.checks import require, require_even, require_positive
from zoo.components.position._rotation import RotationTable, compute_frequencies
from zoo.model.interfaces import Position
from zoo.registry import register

GAMMA = 0.4
"""γ of the paper: ζ of the pair with the highest frequency is γ / (1 + γ)."""


@final
@register("position", "xpos", paper="arXiv:2212.10554")
class XPos(Position):
    """Rotary embedding with decay (xPos): also scales queries by ζ^(p / scale_base) and keys by its inverse.

    Products of a query and an earlier key decay exponentially with distance. ζ = (2i / width + 0.4) / 1.4 < 1 for pair
    i, so pairs with high frequencies decay fastest. xPos is designed for causal attention: products with later keys
    grow with distance. The component has neither parameters nor buffers.

    Args:
        dim: unused.
        heads: unused.
        head_dim: features per head; even.
        causal: unused.
        base: bounds the wavelengths, which grow from 2π towards 2π * base.
        scale_base: number of positions over which a pair is scaled by one factor ζ.
    Raises:
        Refused: if ``head_dim`` is odd, ``base`` is not above 1, or ``scale_base`` is not positive.
    Source: Sun et al. 2022.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        causal: bool,
        *,
        base: float = 10000.0,
        scale_base: float = 512.0,
    ) -> None:
        super().__init__()
        require_even("head_dim", head_dim)
        require(base > 1, f"base must be above 1: got base={base}")
        require_positive("scale_base", scale_base)
        self.base, self.scale_base = base, scale_base
        # Beyond this position, keys are scaled by more than 2^96, close to the range of float32.
        self.limit = max(1, int(96 * scale_base / math.log2((1 + GAMMA) / GAMMA)))

    def rotate_queries(self, q: Tensor, positions: Tensor) -> Tensor:
        """Rotates queries ``[batch, heads, length, width]`` and scales them down."""
        return self._rotate(q, positions, 1.0)

    def rotate_keys(self, k: Tensor, positions: Tensor) -> Tensor:
        """Rotates keys ``[batch, heads, length, width]`` and scales them up."""
        return self._rotate(k, positions, -1.0)

    def _rotate(self, x: Tensor, positions: Tensor, sign: float) -> Tensor:
        width = x.shape[-1]
        require_even("width", width)
        frequencies = compute_frequencies(width, self.base, x)
        p = positions[:, None, :, None].to(frequencies.dtype)  # [batch or 1, 1, length, 1]
        ratio = torch.arange(0, width, 2, device=x.device, dtype=frequencies.dtype) / width
        zeta = (ratio + GAMMA) / (1 + GAMMA)  # [width / 2]
        scale = zeta ** (sign * p / self.scale_base)
        return RotationTable.from_angles(p * frequencies, scale, interleaved=True).rotate(x)
