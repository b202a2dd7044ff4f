"""No positions."""

from __future__ import annotations

from typing import final

from zoo.model.interfaces import Position
from zoo.registry import register


@final
@register("position", "none", paper="arXiv:2305.19466")
class NoPosition(Position):
    """Nothing tells where tokens stand but causality itself (NoPE).

    Args:
        dim: not used.
        heads: not used.
        head_dim: not used.
        causal: not used.
    Source: Kazemnejad et al. 2023.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool) -> None:
        super().__init__()
