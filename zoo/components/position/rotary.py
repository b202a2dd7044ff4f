"""Rotary position embeddings."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from zoo.checks import require, require_even
from zoo.components.position._rotation import RotationTable, compute_frequencies
from zoo.components.position._scaling import Scaling
from zoo.model.interfaces import Position
from zoo.registry import register


@final
@register("position", "rotary", paper="arXiv:2104.09864")
class Rotary(Position):
    """Rotary position embedding (RoPE): rotates feature pair i at position p by the angle p / base^(2i / width).

    Queries and keys are rotated, so that their products depend on relative distance; ``width`` is the number of rotated
    features. The component has neither parameters nor buffers: frequencies follow from the width of its input and are
    computed in float32 or wider.

    Args:
        dim: unused.
        heads: unused.
        head_dim: features per head; even.
        causal: unused.
        base: bounds the wavelengths, which grow from 2π towards 2π * base.
        interleaved: if true, a pair is the neighbors (2i, 2i + 1); otherwise it is (i, i + width / 2).
        fraction: share of the features that is rotated, from the first on (0.25 in GPT-NeoX, 0.5 in GLM).
        scaling: scales the frequencies for rows longer than those of the original training.
    Raises:
        Refused: if an option is out of range, or the number of rotated features is odd.
    Source: Su et al. 2021; ``fraction``: Black et al. 2022 (arXiv:2204.06745).
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
        self._count_rotated("head_dim", head_dim)
        self._positions: Tensor | None = None  # those that the tables were computed for
        self._tables: dict[int, RotationTable] = {}

    def rotate_queries(self, q: Tensor, positions: Tensor) -> Tensor:
        """Rotates queries ``[batch, heads, length, width]``."""
        return self._rotate(q, positions)

    def rotate_keys(self, k: Tensor, positions: Tensor) -> Tensor:
        """Rotates keys ``[batch, heads, length, width]``."""
        return self._rotate(k, positions)

    def prepare(self, positions: Tensor, widths: frozenset[int], x: Tensor) -> None:
        """Computes the table of each width, for all layers of a forward pass."""
        self._positions = positions
        self._tables = {width: self._compute_table(width, positions, x) for width in widths}

    def _rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        table = self._tables.get(x.shape[-1]) if positions is self._positions else None
        if table is None or table.cos.dtype != torch.promote_types(x.dtype, torch.float32):
            table = self._compute_table(x.shape[-1], positions, x)
        return table.rotate(x)

    def _compute_table(self, features: int, positions: Tensor, x: Tensor) -> RotationTable:
        """Computes the table of queries or keys with so many ``features``, on the device of ``x``."""
        width = self._count_rotated("width", features)
        frequencies = self.scaling.scale_frequencies(compute_frequencies(width, self.base, x), self.base)
        angles = positions[:, None, :, None].to(frequencies.dtype) * frequencies  # [batch or 1, 1, length, width / 2]
        return RotationTable.from_angles(angles, self.scaling.rotation_scale, interleaved=self.interleaved)

    def _count_rotated(self, name: str, width: int) -> int:
        """Returns how many of ``width`` features are rotated.

        Raises:
            Refused: if the number is odd or not whole; ``name`` is what the message calls ``width``.
        """
        if self.fraction == 1.0:
            require_even(name, width)
            return width
        rotated = round(self.fraction * width)
        require(
            rotated > 0 and rotated % 2 == 0 and abs(rotated - self.fraction * width) < 1e-6,
            f"fraction * {name} must be even: got fraction={self.fraction}, {name}={width}",
        )
        return rotated
