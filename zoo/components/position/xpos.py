"""Rotary positions whose products fall with distance."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from zoo.checks import require, require_even, require_positive
from zoo.components.position._rotation import frequencies, turn
from zoo.model.interfaces import Position
from zoo.registry import register

BEGIN = 0.4  # the paper's γ: ζ of the fastest pair is γ / (1 + γ)


@final
@register("position", "xpos", paper="arXiv:2212.10554")
class XPos(Position):
    """As rotary, and queries times ζ^(p/scale_base), keys times its inverse: products fall with distance.

    ζ = (2i/width + 0.4) / 1.4, so fast pairs fall most. It is made for causal stacks: the product of a query with a
    key that comes later grows with distance. It has neither parameters nor buffers.

    Args:
        dim: not used.
        heads: not used.
        head_dim: features per head; even.
        causal: not used.
        base: the longest wavelength is 2π * base.
        scale_base: positions after which a pair is multiplied with ζ once more.
    Raises:
        Refused: if ``head_dim`` is odd.
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
        # Beyond it keys of the fastest pair are more than 2^96 times what they were: near the end of float32.
        self.limit = max(1, int(96 * scale_base / math.log2((1 + BEGIN) / BEGIN)))

    def rotate_queries(self, q: Tensor, positions: Tensor) -> Tensor:
        """Turn and shrink ``[batch, heads, length, width]``."""
        return self._rotate(q, positions, 1.0)

    def rotate_keys(self, k: Tensor, positions: Tensor) -> Tensor:
        """Turn and grow ``[batch, heads, length, width]``."""
        return self._rotate(k, positions, -1.0)

    def _rotate(self, x: Tensor, positions: Tensor, sign: float) -> Tensor:
        width = x.shape[-1]
        require_even("width", width)
        speed = frequencies(width, self.base, x)
        place = positions[:, None, :, None].to(speed.dtype)
        share = torch.arange(0, width, 2, device=x.device, dtype=speed.dtype) / width
        zeta = (share + BEGIN) / (1 + BEGIN)
        return turn(x, place * speed, zeta ** (sign * place / self.scale_base), interleaved=True)
