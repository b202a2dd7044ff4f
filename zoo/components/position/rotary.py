"""Rotary positions."""

from __future__ import annotations

from typing import final

from torch import Tensor

from zoo.checks import require, require_even
from zoo.components.position._rotation import frequencies, turn
from zoo.components.position._scaling import Scaling
from zoo.model.interfaces import Position
from zoo.registry import register


@final
@register("position", "rotary", paper="arXiv:2104.09864")
class Rotary(Position):
    """Turn feature pairs of queries and keys by p / base^(2i/width), so that products depend on distance.

    It has neither parameters nor buffers: frequencies come from the width it is handed, at least in float32.

    Args:
        dim: not used.
        heads: not used.
        head_dim: features per head; even.
        causal: not used.
        base: the longest wavelength is 2π * base.
        interleaved: pairs are neighbors (2i, 2i + 1); else feature i goes with i + width / 2.
        fraction: only this share of the features turns, the first ones (GPT-NeoX 0.25, GLM 0.5).
        scaling: other frequencies for longer rows.
    Raises:
        Refused: if the number of features that turn is odd.
    Source: Su et al. 2021; a fraction: Black et al. 2022 (arXiv:2204.06745).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        causal: bool,
        *,
        base: float = 10000.0,
        interleaved: bool = False,
        fraction: float = 1.0,
        scaling: Scaling = Scaling(),
    ) -> None:
        super().__init__()
        require(base > 1, f"base must be above 1: got base={base}")
        require(0 < fraction <= 1, f"fraction must be above 0 and at most 1: got fraction={fraction}")
        self.base, self.interleaved, self.fraction, self.scaling = base, interleaved, fraction, scaling
        self._turned("head_dim", head_dim)

    def rotate_queries(self, q: Tensor, positions: Tensor) -> Tensor:
        """Turn ``[batch, heads, length, width]``."""
        return self._rotate(q, positions)

    def rotate_keys(self, k: Tensor, positions: Tensor) -> Tensor:
        """Turn ``[batch, heads, length, width]``."""
        return self._rotate(k, positions)

    def _rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        width = self._turned("width", x.shape[-1])
        speed = self.scaling.scaled(frequencies(width, self.base, x), self.base)
        angles = positions[:, None, :, None].to(speed.dtype) * speed
        return turn(x, angles, self.scaling.size, interleaved=self.interleaved)

    def _turned(self, name: str, width: int) -> int:
        """How many of ``width`` features turn."""
        if self.fraction == 1.0:
            require_even(name, width)
            return width
        turned = round(self.fraction * width)
        require(
            turned > 0 and turned % 2 == 0 and abs(turned - self.fraction * width) < 1e-6,
            f"fraction * {name} must be even: got fraction={self.fraction}, {name}={width}",
        )
        return turned
