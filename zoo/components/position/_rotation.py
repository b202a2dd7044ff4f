"""Rotation of feature pairs by angles that grow with the position, shared by ``rotary`` and ``xpos``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.model.fused import rotate_halves


def compute_frequencies(width: int, base: float, x: Tensor) -> Tensor:
    """Returns base^(-2i / width) for each pair i, ``[width / 2]``, on the device of ``x`` and in float32 or wider."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    exponents = torch.arange(0, width, 2, device=x.device, dtype=dtype) / width
    return base**-exponents


@dataclass(frozen=True)
class RotationTable:
    """Cosines and sines of the angles of each position, times a scale.

    Attributes:
        cos: ``[batch or 1, 1, length, pairs]``; twice in a row, ``2 * pairs``, unless ``interleaved``.
        sin: likewise.
        interleaved: if True, a pair is the neighbors (2i, 2i + 1); otherwise it is (i, i + pairs).
    """

    cos: Tensor
    sin: Tensor
    interleaved: bool

    @classmethod
    def from_angles(cls, angles: Tensor, scale: Tensor | float, *, interleaved: bool) -> RotationTable:
        """Computes the table of ``angles`` in radians ``[batch or 1, 1, length, pairs]``.

        ``scale`` is one factor for all pairs, or one for each angle.
        """
        cos, sin = angles.cos(), angles.sin()
        if not isinstance(scale, float) or scale != 1.0:
            cos, sin = cos * scale, sin * scale
        return cls(cos, sin, True) if interleaved else cls(torch.cat([cos, cos], -1), torch.cat([sin, sin], -1), False)

    def rotate(self, x: Tensor) -> Tensor:
        """Rotates the first pairs of features of queries or keys ``[batch, heads, length, width]``.

        The remaining features are returned unchanged. The rotation is computed in the dtype of the table, and the
        result has that of ``x``.
        """
        width = self.cos.shape[-1] * (2 if self.interleaved else 1)
        if width < x.shape[-1]:
            return torch.cat([self.rotate(x[..., :width]), x[..., width:]], dim=-1)
        if not self.interleaved:
            return rotate_halves(x, self.cos, self.sin).to(x.dtype)
        a, b = (part.to(self.cos.dtype) for part in (x[..., 0::2], x[..., 1::2]))  # [batch, heads, length, pairs] each
        rotated = torch.stack([a * self.cos - b * self.sin, a * self.sin + b * self.cos], dim=-1)
        return rotated.flatten(-2).to(x.dtype)
