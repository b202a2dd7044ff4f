"""Rotary positions."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from zoo.checks import require_even, require_positive
from zoo.interfaces import Position
from zoo.registry import register


@final
@register("position", "rotary", paper="arXiv:2104.09864")
class Rotary(Position):
    """Turn feature pairs of queries and keys by p / base^(2i/width), so that products depend on distance.

    It has neither parameters nor buffers: frequencies come from the width it is handed, in float32.

    Args:
        dim: not used.
        heads: not used.
        head_dim: features per head; even.
        causal: not used.
        base: the longest wavelength is 2π * base.
        interleaved: pairs are neighbours (2i, 2i + 1); else feature i goes with i + width / 2.
    Raises:
        Refused: if ``head_dim`` is odd.
    Source: Su et al. 2021.
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, causal: bool, *, base: float = 10000.0, interleaved: bool = False
    ) -> None:
        super().__init__()
        require_even("head_dim", head_dim)
        require_positive("base", base)
        self.base, self.interleaved = base, interleaved

    def rotate_queries(self, q: Tensor, positions: Tensor) -> Tensor:
        """Turn ``[batch, heads, length, width]``."""
        return self._rotate(q, positions)

    def rotate_keys(self, k: Tensor, positions: Tensor) -> Tensor:
        """Turn ``[batch, heads, length, width]``."""
        return self._rotate(k, positions)

    def _rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        width = x.shape[-1]
        exponents = torch.arange(0, width, 2, device=x.device, dtype=torch.float32) / width
        angles = positions[:, None, :, None].float() * self.base**-exponents
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        if self.interleaved:
            a, b = x[..., 0::2], x[..., 1::2]
            return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
